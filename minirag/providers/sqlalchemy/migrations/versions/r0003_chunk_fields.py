"""The table of the fields that bots declare as `filterable`, filled from the documents there are.

Frozen as SQL: what a released revision makes must never change with `fields`.
"""

from __future__ import annotations

from typing import Final

from alembic import op

__all__ = ["downgrade", "upgrade"]

revision: Final = "0003"
down_revision: Final = "0002"

_STATEMENTS: Final = (
    """
CREATE TABLE chunk_fields (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    field TEXT NOT NULL,
    kind TEXT NOT NULL,
    value BLOB NOT NULL,
    chunk_key BIGINT NOT NULL,
    CONSTRAINT pk_chunk_fields PRIMARY KEY (tenant_id, bot_id, field, kind, value, chunk_key),
    CONSTRAINT fk_chunk_fields_chunks FOREIGN KEY(tenant_id, bot_id, chunk_key) REFERENCES chunks (tenant_id, bot_id, "key") ON DELETE CASCADE
)
 WITHOUT ROWID
    """,
    "CREATE INDEX ix_chunk_fields_tenant_id_bot_id_chunk_key ON chunk_fields (tenant_id, bot_id, chunk_key)",
    """
INSERT OR IGNORE INTO chunk_fields (tenant_id, bot_id, field, kind, value, chunk_key)
SELECT documents.tenant_id, documents.bot_id, entry.key,
    CASE entry.type
        WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number' WHEN 'true' THEN 'bool' WHEN 'false' THEN 'bool'
        WHEN 'array' THEN 'list'
        WHEN 'object' THEN CASE WHEN json_type(entry.value, '$."$date"') IS NULL THEN '$datetime' ELSE '$date' END
        ELSE entry.type
    END,
    CASE entry.type
        WHEN 'text' THEN substr(entry.value, 1, 100)
        WHEN 'object' THEN coalesce(json_extract(entry.value, '$."$date"'), json_extract(entry.value, '$."$datetime"'))
        WHEN 'null' THEN '' WHEN 'array' THEN ''
        ELSE entry.value
    END,
    chunks."key"
FROM bots, json_each(bots.profile, '$.filterable') AS declared, documents, json_each(documents.metadata) AS entry, chunks
WHERE documents.tenant_id = bots.tenant_id AND documents.bot_id = bots.id AND entry.key = declared.value
    AND chunks.tenant_id = documents.tenant_id AND chunks.bot_id = documents.bot_id AND chunks.document_id = documents.id
    """,
    """
INSERT OR IGNORE INTO chunk_fields (tenant_id, bot_id, field, kind, value, chunk_key)
SELECT documents.tenant_id, documents.bot_id, entry.key,
    CASE item.type WHEN 'text' THEN 'text' ELSE 'number' END,
    CASE item.type WHEN 'text' THEN substr(item.value, 1, 100) ELSE item.value END,
    chunks."key"
FROM bots, json_each(bots.profile, '$.filterable') AS declared, documents, json_each(documents.metadata) AS entry,
    json_each(CASE entry.type WHEN 'array' THEN entry.value END) AS item, chunks
WHERE documents.tenant_id = bots.tenant_id AND documents.bot_id = bots.id AND entry.key = declared.value
    AND chunks.tenant_id = documents.tenant_id AND chunks.bot_id = documents.bot_id AND chunks.document_id = documents.id
    """,
    """
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('chunk_fields', 'chunk_fields', '5000000 500000 50000 10000 10000 100 1'),
    ('chunk_fields', 'ix_chunk_fields_tenant_id_bot_id_chunk_key', '5000000 500000 50000 5 2 2 2 sz=1000')
    """,
    "ANALYZE sqlite_master",
)


def upgrade() -> None:
    """Make the table, fill it and tell SQLite's planner what it will look like."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Forget the table: an older release does not write it."""
    op.execute("DROP TABLE chunk_fields")
