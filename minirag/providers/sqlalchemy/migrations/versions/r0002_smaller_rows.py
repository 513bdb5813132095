"""Smaller rows: shorter fingerprints and version hashes, a smaller index of content hashes.

Frozen as SQL: what a released revision makes must never change with `tables`.
"""

from __future__ import annotations

from typing import Final

from alembic import op

__all__ = ["downgrade", "upgrade"]

revision: Final = "0002"
down_revision: Final = "0001"

_EMBEDDINGS: Final = (
    "DROP INDEX ix_embeddings_tenant_id_content_hash",
    "ALTER TABLE embeddings RENAME TO long_embeddings",
    """
CREATE TABLE embeddings (
    tenant_id VARCHAR(20) NOT NULL,
    bot_id VARCHAR(20) NOT NULL,
    chunk_key BIGINT NOT NULL,
    space VARCHAR(16) NOT NULL,
    content_hash BLOB NOT NULL,
    vector BLOB NOT NULL,
    CONSTRAINT pk_embeddings PRIMARY KEY (tenant_id, bot_id, chunk_key, space),
    CONSTRAINT fk_embeddings_chunks FOREIGN KEY(tenant_id, bot_id, chunk_key) REFERENCES chunks (tenant_id, bot_id, "key") ON DELETE CASCADE
)
    """,
    """
INSERT INTO embeddings
SELECT tenant_id, bot_id, chunk_key, substr(space, 1, 16), content_hash, vector
FROM long_embeddings
ORDER BY 1, 2, 3, 4
    """,
    "DROP TABLE long_embeddings",
    "CREATE INDEX ix_embeddings_content ON embeddings (substr(tenant_id, -4), substr(content_hash, 1, 6))",
)

_ROWS: Final = (
    "UPDATE bots SET fingerprint = substr(fingerprint, 1, 16)",
    "UPDATE documents SET version_hash = substr(version_hash, 1, 16), updated_at = iif(updated_at = added_at, '', updated_at)",
    # An embedder that an application gave is named by the fingerprint of its space.
    """
UPDATE bots
SET profile = json_set(profile, '$.embedder.options.name', substr(json_extract(profile, '$.embedder.options.name'), 1, 16))
WHERE json_extract(profile, '$.embedder.provider') = '(instance)'
    """,
)

_STATISTICS: Final = (
    "DELETE FROM sqlite_stat1 WHERE tbl IN ('embeddings', 'long_embeddings')",
    """
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('embeddings', 'sqlite_autoindex_embeddings_1', '2000000 200000 20000 1 1'),
    ('embeddings', 'ix_embeddings_content', '2000000 200000 1')
    """,
    "ANALYZE sqlite_master",
)


def upgrade() -> None:
    """Write the vectors' table anew and shorten what others hold."""
    for statement in (*_EMBEDDINGS, *_ROWS, *_STATISTICS):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: what was shortened is gone."""
    raise NotImplementedError("shortened hashes cannot be made long again; restore a backup instead")
