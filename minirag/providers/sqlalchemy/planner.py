"""What SQLite's planner is told about the tables: fixed statistics, written when the database is made.

Without statistics SQLite takes ten rows for what a tenant or a bot holds, and then reads all of it where an index would find one
row. With gathered ones (`ANALYZE`) plans would change with the data, and be wrong for the tenant that is unlike the others.
So the numbers are typical ones: what matters is only that a tenant holds much, a bot less, a document little.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

__all__ = ["STATISTICS", "write_statistics"]

STATISTICS: Final = (
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
    ("embeddings", "ix_embeddings_content", "2000000 200000 1"),
    ("chunk_fields", "chunk_fields", "5000000 500000 50000 10000 10000 100 1"),
    ("chunk_fields", "ix_chunk_fields_tenant_id_bot_id_chunk_key", "5000000 500000 50000 5 2 2 2 sz=1000"),
    ("change_log", "change_log", "1000000 100000 10000 1"),
    ("chats", "chats", "10000 1000 1"),
    ("chats", "ix_chats_tenant_id_bot_id", "10000 1000 100"),
    ("usage_events", "usage_events", "1000000 100000 1"),
    ("usage_events", "ix_usage_events_tenant_id_bot_id", "1000000 100000 10000"),
    ("usage_events", "ix_usage_events_open", "100 10 1"),
)
"""Table, index, and for each leading column of the index how many rows share it, after the number of all rows.

The primary key of a table without row ids goes by the table's own name. `sz` is the size of an index's rows in bytes: that of
`chunk_fields` is exaggerated, so that of two indexes by which a chunk's value can be looked up SQLite takes the primary key, where
the rows of one value lie together.
"""


def write_statistics(connection: Connection) -> None:
    """Write the statistics, in place of any others, and have the connection use them."""
    connection.exec_driver_sql("ANALYZE sqlite_master")  # makes the table sqlite_stat1
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    connection.exec_driver_sql("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", list(STATISTICS))
    connection.exec_driver_sql("ANALYZE sqlite_master")  # reads it
