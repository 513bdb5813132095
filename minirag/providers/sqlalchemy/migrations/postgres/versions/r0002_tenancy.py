"""What people and tokens may do, whose a chat is, and what was done, in PostgreSQL.

Frozen as SQL: what a released revision makes must never change with `tables`. No release wrote a user or a token before.
"""

from __future__ import annotations

from typing import Final

from alembic import op

__all__ = ["downgrade", "upgrade"]

revision: Final = "0002"
down_revision: Final = "0001"

_STATEMENTS: Final = (
    'ALTER TABLE tenants ADD COLUMN suspended_at TEXT COLLATE "C"',
    'ALTER TABLE chats ADD COLUMN user_id TEXT COLLATE "C"',
    "DROP TABLE api_tokens",
    "DROP TABLE users",
    """
CREATE TABLE users (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    failures INTEGER NOT NULL,
    locked_until TEXT COLLATE "C",
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_users_tenant_id_email UNIQUE (tenant_id, email),
    CONSTRAINT fk_users_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE api_tokens (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C",
    kind TEXT COLLATE "C" NOT NULL,
    token_scope TEXT COLLATE "C" NOT NULL,
    token_hash BYTEA NOT NULL,
    prefix TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    expires_at TEXT COLLATE "C",
    last_used_at TEXT COLLATE "C",
    revoked_at TEXT COLLATE "C",
    CONSTRAINT pk_api_tokens PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_tokens_users FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_api_tokens_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_api_tokens_tenant_id_user_id ON api_tokens (tenant_id, user_id)",
    """
CREATE TABLE audit_events (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    at TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_audit_events PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_audit_events_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE erasures (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C",
    sequence BIGINT NOT NULL,
    receipt TEXT COLLATE "C" NOT NULL,
    keys BYTEA NOT NULL,
    traces BYTEA NOT NULL,
    requested_at TEXT COLLATE "C" NOT NULL,
    finished_at TEXT COLLATE "C",
    CONSTRAINT pk_erasures PRIMARY KEY (tenant_id, id)
)
    """,
    """
CREATE TABLE tenant_limits (
    tenant_id TEXT COLLATE "C" NOT NULL,
    limits TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_tenant_limits PRIMARY KEY (tenant_id),
    CONSTRAINT fk_tenant_limits_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
    """,
    "ALTER TABLE usage_events ADD COLUMN cost BIGINT",
    "ALTER TABLE usage_events ADD COLUMN reserved_tokens BIGINT",
    "ALTER TABLE usage_events ADD COLUMN reserved_cost BIGINT",
    "ALTER TABLE usage_events DROP CONSTRAINT fk_usage_events_bots",
    """
ALTER TABLE usage_events ADD CONSTRAINT fk_usage_events_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    ON DELETE CASCADE
    """,
    "CREATE INDEX ix_usage_events_open ON usage_events (tenant_id) WHERE status = 'open'",
    """
CREATE TABLE usage_days (
    tenant_id TEXT COLLATE "C" NOT NULL,
    day TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    CONSTRAINT pk_usage_days PRIMARY KEY (tenant_id, day),
    CONSTRAINT fk_usage_days_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
    """,
    """
INSERT INTO usage_days SELECT tenant_id, substr(started_at, 1, 10), count(*), sum(input_tokens + output_tokens), 0
FROM usage_events WHERE status <> 'open' GROUP BY tenant_id, substr(started_at, 1, 10)
    """,
)

_OF_TENANTS: Final = ("users", "api_tokens", "audit_events", "erasures", "tenant_limits", "usage_days")
"""The tables made here."""

_GRANT: Final = """
DO $$
DECLARE role text := 'minirag_' || (SELECT value FROM settings WHERE name = 'workspace_id');
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role) THEN
        EXECUTE 'GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO ' || quote_ident(role);
        EXECUTE 'GRANT SELECT (id, suspended_at) ON tenants TO ' || quote_ident(role);
    END IF;
END $$
"""
"""The role of tenants' transactions, where an earlier release made it, was given the tables of that release only."""


def upgrade() -> None:
    """Make the tables and columns, with the policies that hold each tenant's rows to its transactions."""
    for statement in _STATEMENTS:
        op.get_bind().exec_driver_sql(statement)
    for table in _OF_TENANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY minirag_tenant ON {table} USING (tenant_id = current_setting('minirag.tenant', true)) "
            "WITH CHECK (tenant_id = current_setting('minirag.tenant', true))"
        )
    # Of the tenants themselves a tenant's transaction sees its own row, and whether it is closed.
    op.execute("ALTER TABLE tenants ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY minirag_tenant ON tenants USING (id = current_setting('minirag.tenant', true))")
    op.get_bind().exec_driver_sql(_GRANT.format(tables=", ".join(_OF_TENANTS)))


def downgrade() -> None:
    """Refuse: going back would lose what they hold."""
    raise NotImplementedError("there is no way back from this schema; restore the backup made before it")
