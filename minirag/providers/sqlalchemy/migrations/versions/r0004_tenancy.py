"""What people and tokens may do, whose a chat is, and what was done.

Frozen as SQL: what a released revision makes must never change with `tables`. No release wrote a user or a token before.
"""

from __future__ import annotations

from typing import Final

from alembic import op

__all__ = ["downgrade", "upgrade"]

revision: Final = "0004"
down_revision: Final = "0003"

_STATEMENTS: Final = (
    "ALTER TABLE tenants ADD COLUMN suspended_at VARCHAR(27)",
    "ALTER TABLE chats ADD COLUMN user_id VARCHAR(20)",
    "DROP TABLE api_tokens",
    "DROP TABLE users",
    """
CREATE TABLE users (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    failures INTEGER NOT NULL,
    locked_until VARCHAR(27),
    created_at VARCHAR(27) NOT NULL,
    updated_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_users_tenant_id_email UNIQUE (tenant_id, email),
    CONSTRAINT fk_users_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE api_tokens (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    user_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20),
    kind TEXT NOT NULL,
    token_scope TEXT NOT NULL,
    token_hash BLOB NOT NULL,
    prefix TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    expires_at VARCHAR(27),
    last_used_at VARCHAR(27),
    revoked_at VARCHAR(27),
    CONSTRAINT pk_api_tokens PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_tokens_users FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_api_tokens_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE INDEX ix_api_tokens_tenant_id_user_id ON api_tokens (tenant_id, user_id)",
    """
CREATE TABLE audit_events (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    at VARCHAR(27) NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    CONSTRAINT pk_audit_events PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_audit_events_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE erasures (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    bot_id VARCHAR(20),
    sequence BIGINT NOT NULL,
    receipt TEXT NOT NULL,
    keys BLOB NOT NULL,
    traces BLOB NOT NULL,
    requested_at VARCHAR(27) NOT NULL,
    finished_at VARCHAR(27),
    CONSTRAINT pk_erasures PRIMARY KEY (tenant_id, id)
)
    """,
    """
CREATE TABLE tenant_limits (
    tenant_id VARCHAR(20) NOT NULL,
    limits TEXT NOT NULL,
    CONSTRAINT pk_tenant_limits PRIMARY KEY (tenant_id),
    CONSTRAINT fk_tenant_limits_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE TABLE usage_events_before AS SELECT * FROM usage_events",
    "DROP TABLE usage_events",
    """
CREATE TABLE usage_events (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    kind TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    status TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    started_at VARCHAR(27) NOT NULL,
    finished_at VARCHAR(27),
    cost BIGINT,
    reserved_tokens BIGINT,
    reserved_cost BIGINT,
    CONSTRAINT pk_usage_events PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_usage_events_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "INSERT INTO usage_events SELECT *, NULL, NULL, NULL FROM usage_events_before",
    "DROP TABLE usage_events_before",
    "CREATE INDEX ix_usage_events_tenant_id_bot_id ON usage_events (tenant_id, bot_id)",
    "CREATE INDEX ix_usage_events_open ON usage_events (tenant_id) WHERE status = 'open'",
    """
CREATE TABLE usage_days (
    tenant_id VARCHAR(20) NOT NULL,
    day VARCHAR(10) NOT NULL,
    requests BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    CONSTRAINT pk_usage_days PRIMARY KEY (tenant_id, day),
    CONSTRAINT fk_usage_days_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
INSERT INTO usage_days SELECT tenant_id, substr(started_at, 1, 10), count(*), sum(input_tokens + output_tokens), 0
FROM usage_events WHERE status <> 'open' GROUP BY tenant_id, substr(started_at, 1, 10)
    """,
    """
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('usage_events', 'usage_events', '1000000 100000 1'),
    ('usage_events', 'ix_usage_events_tenant_id_bot_id', '1000000 100000 10000'),
    ('usage_events', 'ix_usage_events_open', '100 10 1')
    """,
    "ANALYZE sqlite_master",
)


def upgrade() -> None:
    """Make the tables and columns."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: going back would lose what they hold."""
    raise NotImplementedError("there is no way back from this schema; restore the backup made before it")
