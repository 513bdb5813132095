"""The first schema of a workspace in PostgreSQL, with the policies that hold each tenant's rows to its transactions.

Frozen as SQL: what a released revision makes must never change with `tables`. Every text compares by code point (`COLLATE "C"`).
"""

from __future__ import annotations

from typing import Final

from alembic import op

from minirag.providers.sqlalchemy.migrations.postgres.functions_0001 import FUNCTIONS

__all__ = ["downgrade", "upgrade"]

revision: Final = "0001"
down_revision: Final = None

_STATEMENTS: Final = (
    """
CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_settings PRIMARY KEY (name)
)
    """,
    """
CREATE TABLE tenants (
    id TEXT COLLATE "C" NOT NULL,
    slug TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (id),
    CONSTRAINT uq_tenants_slug UNIQUE (slug)
)
    """,
    """
CREATE TABLE bots (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    profile TEXT COLLATE "C" NOT NULL,
    space TEXT COLLATE "C" NOT NULL,
    fingerprint TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_bots PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_bots_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT fk_bots_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE tenant_keys (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    wrapped TEXT COLLATE "C" NOT NULL,
    master_key_id TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_tenant_keys PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_tenant_keys_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE users (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    password_hash TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
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
    token_hash BYTEA NOT NULL,
    prefix TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    expires_at TEXT COLLATE "C",
    last_used_at TEXT COLLATE "C",
    CONSTRAINT pk_api_tokens PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_tokens_users FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_api_tokens_tenant_id_user_id ON api_tokens (tenant_id, user_id)",
    """
CREATE TABLE bot_logs (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    nonce BIGINT NOT NULL,
    documents BIGINT NOT NULL,
    chunks BIGINT NOT NULL,
    characters BIGINT NOT NULL,
    words BIGINT NOT NULL,
    known_words BIGINT NOT NULL,
    stale BIGINT NOT NULL,
    last_key BIGINT NOT NULL,
    CONSTRAINT pk_bot_logs PRIMARY KEY (tenant_id, bot_id),
    CONSTRAINT fk_bot_logs_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE change_log (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    nonce BIGINT NOT NULL,
    removed BYTEA NOT NULL,
    added BYTEA NOT NULL,
    CONSTRAINT pk_change_log PRIMARY KEY (tenant_id, bot_id, sequence),
    CONSTRAINT fk_change_log_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE chats (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_chats PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_chats_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_chats_tenant_id_bot_id ON chats (tenant_id, bot_id)",
    """
CREATE TABLE document_versions (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    document_id TEXT COLLATE "C" NOT NULL,
    source_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C",
    media_type TEXT COLLATE "C" NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    characters BIGINT NOT NULL,
    chunker TEXT COLLATE "C" NOT NULL,
    spans TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_document_versions PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_document_versions_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_document_versions_tenant_id_document_id ON document_versions (tenant_id, document_id)",
    """
CREATE TABLE secrets (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    ciphertext TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_secrets PRIMARY KEY (tenant_id, bot_id, field),
    CONSTRAINT fk_secrets_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE sources (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    locator TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    metadata TEXT COLLATE "C" NOT NULL,
    refresh FLOAT,
    status TEXT COLLATE "C" NOT NULL,
    error TEXT COLLATE "C",
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    text TEXT COLLATE "C",
    ingested_at TEXT COLLATE "C",
    CONSTRAINT pk_sources PRIMARY KEY (tenant_id, bot_id, id),
    CONSTRAINT uq_sources_tenant_id_bot_id_kind_locator UNIQUE (tenant_id, bot_id, kind, locator),
    CONSTRAINT fk_sources_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE usage_events (
    tenant_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    provider TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    started_at TEXT COLLATE "C" NOT NULL,
    finished_at TEXT COLLATE "C",
    CONSTRAINT pk_usage_events PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_usage_events_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_usage_events_tenant_id_bot_id ON usage_events (tenant_id, bot_id)",
    """
CREATE TABLE documents (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    source_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    title TEXT COLLATE "C",
    metadata TEXT COLLATE "C" NOT NULL,
    version_id TEXT COLLATE "C" NOT NULL,
    version_hash BYTEA NOT NULL,
    text_hash BYTEA NOT NULL,
    raw_hash BYTEA,
    media_type TEXT COLLATE "C" NOT NULL,
    language TEXT COLLATE "C" NOT NULL,
    characters BIGINT NOT NULL,
    chunks INTEGER NOT NULL,
    words BIGINT NOT NULL,
    known_words BIGINT NOT NULL,
    stale BOOLEAN NOT NULL,
    added_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_documents PRIMARY KEY (tenant_id, bot_id, id),
    CONSTRAINT uq_documents_tenant_id_bot_id_source_id_key UNIQUE (tenant_id, bot_id, source_id, key),
    CONSTRAINT fk_documents_sources FOREIGN KEY(tenant_id, bot_id, source_id) REFERENCES sources (tenant_id, bot_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE messages (
    tenant_id TEXT COLLATE "C" NOT NULL,
    chat_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    citations TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_messages PRIMARY KEY (tenant_id, chat_id, number),
    CONSTRAINT uq_messages_tenant_id_chat_id_id UNIQUE (tenant_id, chat_id, id),
    CONSTRAINT fk_messages_chats FOREIGN KEY(tenant_id, chat_id) REFERENCES chats (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE text_blocks (
    tenant_id TEXT COLLATE "C" NOT NULL,
    version_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_text_blocks PRIMARY KEY (tenant_id, version_id, number),
    CONSTRAINT fk_text_blocks_document_versions FOREIGN KEY(tenant_id, version_id) REFERENCES document_versions (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE chunks (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    key BIGINT NOT NULL,
    document_id TEXT COLLATE "C" NOT NULL,
    start BIGINT NOT NULL,
    "end" BIGINT NOT NULL,
    page INTEGER,
    metadata TEXT COLLATE "C" NOT NULL,
    CONSTRAINT pk_chunks PRIMARY KEY (tenant_id, bot_id, key),
    CONSTRAINT fk_chunks_documents FOREIGN KEY(tenant_id, bot_id, document_id) REFERENCES documents (tenant_id, bot_id, id) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_chunks_tenant_id_bot_id_document_id ON chunks (tenant_id, bot_id, document_id)",
    """
CREATE TABLE chunk_fields (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    chunk_key BIGINT NOT NULL,
    CONSTRAINT pk_chunk_fields PRIMARY KEY (tenant_id, bot_id, field, kind, value, chunk_key),
    CONSTRAINT fk_chunk_fields_chunks FOREIGN KEY(tenant_id, bot_id, chunk_key) REFERENCES chunks (tenant_id, bot_id, key) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_chunk_fields_tenant_id_bot_id_chunk_key ON chunk_fields (tenant_id, bot_id, chunk_key)",
    """
CREATE TABLE embeddings (
    tenant_id TEXT COLLATE "C" NOT NULL,
    bot_id TEXT COLLATE "C" NOT NULL,
    chunk_key BIGINT NOT NULL,
    space TEXT COLLATE "C" NOT NULL,
    content_hash BYTEA NOT NULL,
    vector BYTEA NOT NULL,
    CONSTRAINT pk_embeddings PRIMARY KEY (tenant_id, bot_id, chunk_key, space),
    CONSTRAINT fk_embeddings_chunks FOREIGN KEY(tenant_id, bot_id, chunk_key) REFERENCES chunks (tenant_id, bot_id, key) ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_embeddings_content ON embeddings (substr(tenant_id, -4), substr(content_hash, 1, 6))",
)

_OF_TENANTS: Final = (
    "tenant_keys", "users", "api_tokens", "bots", "bot_logs", "secrets", "sources", "documents", "document_versions",
    "text_blocks", "chunks", "chunk_fields", "embeddings", "change_log", "chats", "messages", "usage_events",
)  # fmt: skip


def upgrade() -> None:
    """Make every function, table and policy."""
    for statement in (*FUNCTIONS, *_STATEMENTS):
        op.get_bind().exec_driver_sql(statement)
    for table in _OF_TENANTS:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY minirag_tenant ON {table} USING (tenant_id = current_setting('minirag.tenant', true)) "
            "WITH CHECK (tenant_id = current_setting('minirag.tenant', true))"
        )


def downgrade() -> None:
    """Refuse: there is nothing before the first schema."""
    raise NotImplementedError("the first schema has no predecessor; drop the database instead")
