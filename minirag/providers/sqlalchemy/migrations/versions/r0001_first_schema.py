"""The first schema.

Frozen as SQL: what a released revision makes must never change with `tables`.
"""

from __future__ import annotations

from typing import Final

from alembic import op

__all__ = ["downgrade", "upgrade"]

revision: Final = "0001"
down_revision: Final = None

_STATEMENTS: Final = (
    """
CREATE TABLE settings (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_settings PRIMARY KEY (name)
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE tenants (
    id VARCHAR(20) NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    updated_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_tenants PRIMARY KEY (id),
    CONSTRAINT uq_tenants_slug UNIQUE (slug)
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE bots (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    name TEXT NOT NULL,
    profile TEXT NOT NULL,
    space TEXT NOT NULL,
    fingerprint VARCHAR(32) NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    updated_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_bots PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_bots_tenant_id_name UNIQUE (tenant_id, name),
    CONSTRAINT fk_bots_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE tenant_keys (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    wrapped TEXT NOT NULL,
    master_key_id TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_tenant_keys PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_tenant_keys_tenants FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE users (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
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
    token_hash BLOB NOT NULL,
    prefix TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    expires_at VARCHAR(27),
    last_used_at VARCHAR(27),
    CONSTRAINT pk_api_tokens PRIMARY KEY (tenant_id, id),
    CONSTRAINT uq_api_tokens_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_tokens_users FOREIGN KEY(tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE INDEX ix_api_tokens_tenant_id_user_id ON api_tokens (tenant_id, user_id)",
    """
CREATE TABLE bot_logs (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
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
 WITHOUT ROWID
    """,
    """
CREATE TABLE change_log (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    sequence BIGINT NOT NULL,
    nonce BIGINT NOT NULL,
    removed BLOB NOT NULL,
    added BLOB NOT NULL,
    CONSTRAINT pk_change_log PRIMARY KEY (tenant_id, bot_id, sequence),
    CONSTRAINT fk_change_log_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE chats (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    title TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    updated_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_chats PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_chats_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE INDEX ix_chats_tenant_id_bot_id ON chats (tenant_id, bot_id)",
    """
CREATE TABLE document_versions (
    tenant_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    document_id VARCHAR(20) NOT NULL,
    source_id VARCHAR(20) NOT NULL,
    "key" TEXT NOT NULL,
    title TEXT,
    media_type TEXT NOT NULL,
    language TEXT NOT NULL,
    characters BIGINT NOT NULL,
    chunker TEXT NOT NULL,
    spans TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_document_versions PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_document_versions_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE INDEX ix_document_versions_tenant_id_document_id ON document_versions (tenant_id, document_id)",
    """
CREATE TABLE secrets (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    field TEXT NOT NULL,
    ciphertext TEXT NOT NULL,
    CONSTRAINT pk_secrets PRIMARY KEY (tenant_id, bot_id, field),
    CONSTRAINT fk_secrets_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE sources (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    kind TEXT NOT NULL,
    locator TEXT NOT NULL,
    name TEXT NOT NULL,
    metadata TEXT NOT NULL,
    refresh FLOAT,
    status TEXT NOT NULL,
    error TEXT,
    created_at VARCHAR(27) NOT NULL,
    updated_at VARCHAR(27) NOT NULL,
    text TEXT,
    ingested_at VARCHAR(27),
    CONSTRAINT pk_sources PRIMARY KEY (tenant_id, bot_id, id),
    CONSTRAINT uq_sources_tenant_id_bot_id_kind_locator UNIQUE (tenant_id, bot_id, kind, locator),
    CONSTRAINT fk_sources_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
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
    CONSTRAINT pk_usage_events PRIMARY KEY (tenant_id, id),
    CONSTRAINT fk_usage_events_bots FOREIGN KEY(tenant_id, bot_id) REFERENCES bots (tenant_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE INDEX ix_usage_events_tenant_id_bot_id ON usage_events (tenant_id, bot_id)",
    """
CREATE TABLE documents (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    id VARCHAR(20) NOT NULL,
    source_id VARCHAR(20) NOT NULL,
    "key" TEXT NOT NULL,
    title TEXT,
    metadata TEXT NOT NULL,
    version_id VARCHAR(20) NOT NULL,
    version_hash BLOB NOT NULL,
    text_hash BLOB NOT NULL,
    raw_hash BLOB,
    media_type TEXT NOT NULL,
    language TEXT NOT NULL,
    characters BIGINT NOT NULL,
    chunks INTEGER NOT NULL,
    words BIGINT NOT NULL,
    known_words BIGINT NOT NULL,
    stale BOOLEAN NOT NULL,
    added_at VARCHAR(27) NOT NULL,
    updated_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_documents PRIMARY KEY (tenant_id, bot_id, id),
    CONSTRAINT uq_documents_tenant_id_bot_id_source_id_key UNIQUE (tenant_id, bot_id, source_id, "key"),
    CONSTRAINT fk_documents_sources FOREIGN KEY(tenant_id, bot_id, source_id) REFERENCES sources (tenant_id, bot_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    """
CREATE TABLE messages (
    tenant_id VARCHAR(20) NOT NULL,
    chat_id VARCHAR(20) NOT NULL,
    number INTEGER NOT NULL,
    id VARCHAR(20) NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    citations TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at VARCHAR(27) NOT NULL,
    CONSTRAINT pk_messages PRIMARY KEY (tenant_id, chat_id, number),
    CONSTRAINT uq_messages_tenant_id_chat_id_id UNIQUE (tenant_id, chat_id, id),
    CONSTRAINT fk_messages_chats FOREIGN KEY(tenant_id, chat_id) REFERENCES chats (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE text_blocks (
    tenant_id VARCHAR(20) NOT NULL,
    version_id VARCHAR(20) NOT NULL,
    number INTEGER NOT NULL,
    text TEXT NOT NULL,
    CONSTRAINT pk_text_blocks PRIMARY KEY (tenant_id, version_id, number),
    CONSTRAINT fk_text_blocks_document_versions FOREIGN KEY(tenant_id, version_id) REFERENCES document_versions (tenant_id, id) ON DELETE CASCADE
)
    """,
    """
CREATE TABLE chunks (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    "key" BIGINT NOT NULL,
    document_id VARCHAR(20) NOT NULL,
    start BIGINT NOT NULL,
    "end" BIGINT NOT NULL,
    page INTEGER,
    metadata TEXT NOT NULL,
    CONSTRAINT pk_chunks PRIMARY KEY (tenant_id, bot_id, "key"),
    CONSTRAINT fk_chunks_documents FOREIGN KEY(tenant_id, bot_id, document_id) REFERENCES documents (tenant_id, bot_id, id) ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE INDEX ix_chunks_tenant_id_bot_id_document_id ON chunks (tenant_id, bot_id, document_id)",
    """
CREATE TABLE embeddings (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    chunk_key BIGINT NOT NULL,
    space VARCHAR(32) NOT NULL,
    content_hash BLOB NOT NULL,
    vector BLOB NOT NULL,
    CONSTRAINT pk_embeddings PRIMARY KEY (tenant_id, bot_id, chunk_key, space),
    CONSTRAINT fk_embeddings_chunks FOREIGN KEY(tenant_id, bot_id, chunk_key) REFERENCES chunks (tenant_id, bot_id, "key") ON DELETE CASCADE
)
    """,
    "CREATE INDEX ix_embeddings_tenant_id_content_hash ON embeddings (tenant_id, content_hash)",
)

_STATISTICS: Final = (
    ("bots", "bots", "100 10 1"),
    ("bots", "sqlite_autoindex_bots_2", "100 10 1"),
    ("sources", "sources", "1000 100 10 1"),
    ("sources", "sqlite_autoindex_sources_2", "1000 100 10 5 1"),
    ("documents", "documents", "1000000 100000 10000 1"),
    ("documents", "sqlite_autoindex_documents_2", "1000000 100000 10000 1000 1"),
    ("document_versions", "document_versions", "1000000 100000 1"),
    ("document_versions", "ix_document_versions_tenant_id_document_id", "1000000 100000 2"),
    ("text_blocks", "sqlite_autoindex_text_blocks_1", "2000000 200000 2 1"),
    ("chunks", "chunks", "2000000 200000 20000 1"),
    ("chunks", "ix_chunks_tenant_id_bot_id_document_id", "2000000 200000 20000 2"),
    ("embeddings", "sqlite_autoindex_embeddings_1", "2000000 200000 20000 1 1"),
    ("embeddings", "ix_embeddings_tenant_id_content_hash", "2000000 200000 2"),
    ("change_log", "change_log", "1000000 100000 10000 1"),
    ("chats", "chats", "10000 1000 1"),
    ("chats", "ix_chats_tenant_id_bot_id", "10000 1000 100"),
    ("usage_events", "usage_events", "1000000 100000 1"),
    ("usage_events", "ix_usage_events_tenant_id_bot_id", "1000000 100000 10000"),
)


def upgrade() -> None:
    """Make every table and tell SQLite's planner what they will look like."""
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute("ANALYZE sqlite_master")
    op.get_bind().exec_driver_sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", list(_STATISTICS))
    op.execute("ANALYZE sqlite_master")


def downgrade() -> None:
    """Refuse: there is nothing before the first schema."""
    raise NotImplementedError("the first schema has no predecessor; delete the database instead")
