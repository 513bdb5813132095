"""The tables. Every row of a tenant carries its tenant's id in its primary key and in every foreign key.

Why they look as they do:

- Foreign keys are composite, so the database itself refuses a reference from one tenant to another. They cascade, so
  that deleting a bot or a tenant is one statement; what must outlive its document (versions and their texts, which are
  evidence) refers to the bot instead.
- Small rows live in the primary key's own tree (`WITHOUT ROWID`): one tree to write and to read. Rows that can be
  larger than a twentieth of a page (texts, vectors) do not, since they would widen the tree's inner pages, and would leave
  a tenth of each page empty: only rows with a number are packed full where they are appended.
- The index of content hashes holds only the ends of tenants' ids and the beginnings of hashes, enough to find a row by. Hashes
  come in no order, so each is written to another page; the smaller the index, the less a batch has to write.
- Documents, chunks and the log begin their keys with the bot, so that reading one bot reads neighbouring pages, and its
  cost does not depend on other bots.
- Times are UTC text of one width, so that their order as strings is their order in time. Strings compare by code
  point: SQLite's default collation compares UTF-8 bytes, which is the same order.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = [
    "BLOCK_SIZE",
    "KNOWN_WORDS_SCALE",
    "OPEN",
    "belongs_to",
    "bot_logs",
    "bots",
    "change_log",
    "chats",
    "chunks",
    "document_versions",
    "documents",
    "embeddings",
    "id_column",
    "messages",
    "metadata",
    "of_tenant",
    "secrets",
    "settings",
    "sources",
    "tenant_keys",
    "tenant_limits",
    "tenants",
    "text_blocks",
    "time_column",
    "usage_days",
    "usage_events",
]

BLOCK_SIZE: Final = 4_000
"""Code points in a block of text. Four blocks of ASCII fill one page of 16 KiB, and a chunk rarely needs more than two."""

KNOWN_WORDS_SCALE: Final = 1_000_000
"""Known words are summed as integers of this fraction, so that adding and taking away never drifts."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def id_column(name: str, *, primary_key: bool = False) -> Column[str]:
    """Return the column of an identifier made by `minirag.types.new_id`: 16 characters; once they were 20."""
    return Column(name, String(20), primary_key=primary_key, nullable=False)


def time_column(name: str, *, nullable: bool = False) -> Column[str]:
    """Return the column of a time, written `2025-01-31T12:00:00.000000Z`."""
    return Column(name, String(27), nullable=nullable)


def belongs_to(table: str, *columns: str, target: tuple[str, ...] = ("id",)) -> ForeignKeyConstraint:
    """Return the foreign key `(tenant_id, *columns)` to `(tenant_id, *target)` of a table; it cascades."""
    referred = [f"{table}.tenant_id", *(f"{table}.{name}" for name in target)]
    return ForeignKeyConstraint(["tenant_id", *columns], referred, ondelete="CASCADE")


def of_tenant() -> ForeignKeyConstraint:
    """Return the foreign key to the tenant itself, for tables that hang on nothing else."""
    return ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE")


OPEN: Final = text("status = 'open'")
"""Which rows of `usage_events` are in the index of calls under way."""

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

tenants = Table(
    "tenants",
    metadata,
    id_column("id", primary_key=True),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    time_column("created_at"),
    time_column("updated_at"),
    time_column("suspended_at", nullable=True),
    UniqueConstraint("slug"),
    sqlite_with_rowid=False,
)

tenant_limits = Table(
    "tenant_limits",
    metadata,
    id_column("tenant_id", primary_key=True),
    Column("limits", Text, nullable=False),
    of_tenant(),
    sqlite_with_rowid=False,
)

tenant_keys = Table(
    "tenant_keys",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    Column("wrapped", Text, nullable=False),
    Column("master_key_id", Text, nullable=False),
    time_column("created_at"),
    of_tenant(),
    sqlite_with_rowid=False,
)

bots = Table(
    "bots",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    Column("name", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("space", Text, nullable=False),
    Column("fingerprint", String(32), nullable=False),
    time_column("created_at"),
    time_column("updated_at"),
    UniqueConstraint("tenant_id", "name"),
    of_tenant(),
    sqlite_with_rowid=False,
)

bot_logs = Table(
    "bot_logs",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("chunks", BigInteger, nullable=False),
    Column("characters", BigInteger, nullable=False),
    Column("words", BigInteger, nullable=False),
    Column("known_words", BigInteger, nullable=False),
    Column("stale", BigInteger, nullable=False),
    Column("last_key", BigInteger, nullable=False),
    belongs_to("bots", "bot_id"),
    sqlite_with_rowid=False,
)

secrets = Table(
    "secrets",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    Column("field", Text, primary_key=True),
    Column("ciphertext", Text, nullable=False),
    belongs_to("bots", "bot_id"),
    sqlite_with_rowid=False,
)

sources = Table(
    "sources",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    id_column("id", primary_key=True),
    Column("kind", Text, nullable=False),
    Column("locator", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("metadata", Text, key="metadata_json", nullable=False),
    Column("refresh", Float),
    Column("status", Text, nullable=False),
    Column("error", Text),
    time_column("created_at"),
    time_column("updated_at"),
    Column("text", Text),
    time_column("ingested_at", nullable=True),
    UniqueConstraint("tenant_id", "bot_id", "kind", "locator"),
    belongs_to("bots", "bot_id"),
    sqlite_with_rowid=False,
)

documents = Table(
    "documents",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("source_id"),
    Column("key", Text, nullable=False),
    Column("title", Text),
    Column("metadata", Text, key="metadata_json", nullable=False),
    id_column("version_id"),
    Column("version_hash", LargeBinary, nullable=False),
    Column("text_hash", LargeBinary, nullable=False),
    Column("raw_hash", LargeBinary),
    Column("media_type", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("characters", BigInteger, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("words", BigInteger, nullable=False),
    Column("known_words", BigInteger, nullable=False),
    Column("stale", Boolean, nullable=False),
    time_column("added_at"),
    time_column("updated_at"),  # empty until the first update
    UniqueConstraint("tenant_id", "bot_id", "source_id", "key"),
    belongs_to("sources", "bot_id", "source_id", target=("bot_id", "id")),
    sqlite_with_rowid=False,
)

document_versions = Table(
    "document_versions",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("bot_id"),
    id_column("document_id"),
    id_column("source_id"),
    Column("key", Text, nullable=False),
    Column("title", Text),
    Column("media_type", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("characters", BigInteger, nullable=False),
    Column("chunker", Text, nullable=False),
    Column("spans", Text, nullable=False),
    time_column("created_at"),
    Index(None, "tenant_id", "document_id"),
    belongs_to("bots", "bot_id"),
    sqlite_with_rowid=False,
)

text_blocks = Table(
    "text_blocks",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("version_id", primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    belongs_to("document_versions", "version_id"),
)

chunks = Table(
    "chunks",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    id_column("document_id"),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("page", Integer),
    Column("metadata", Text, key="metadata_json", nullable=False),
    Index(None, "tenant_id", "bot_id", "document_id"),
    belongs_to("documents", "bot_id", "document_id", target=("bot_id", "id")),
    sqlite_with_rowid=False,
)

embeddings = Table(
    "embeddings",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    Column("chunk_key", BigInteger, primary_key=True, autoincrement=False),
    Column("space", String(16), primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Index("ix_embeddings_content", text("substr(tenant_id, -4)"), text("substr(content_hash, 1, 6)")),
    belongs_to("chunks", "bot_id", "chunk_key", target=("bot_id", "key")),
)

change_log = Table(
    "change_log",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("bot_id", primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("nonce", BigInteger, nullable=False),
    Column("removed", LargeBinary, nullable=False),
    Column("added", LargeBinary, nullable=False),
    belongs_to("bots", "bot_id"),
    sqlite_with_rowid=False,
)

chats = Table(
    "chats",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("bot_id"),
    Column("title", Text, nullable=False),
    time_column("created_at"),
    time_column("updated_at"),
    Column("user_id", String(20)),  # whose it is, where a person or a token began it; it outlives them
    Index(None, "tenant_id", "bot_id"),
    belongs_to("bots", "bot_id"),
    sqlite_with_rowid=False,
)

messages = Table(
    "messages",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("chat_id", primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    id_column("id"),
    Column("role", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("citations", Text, nullable=False),
    Column("status", Text, nullable=False),
    time_column("created_at"),
    UniqueConstraint("tenant_id", "chat_id", "id"),
    belongs_to("chats", "chat_id"),
)

usage_events = Table(
    "usage_events",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("bot_id"),
    Column("kind", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    time_column("started_at"),
    time_column("finished_at", nullable=True),
    Column("cost", BigInteger),  # in millionths of a millionth of a US dollar, as all costs are
    Column("reserved_tokens", BigInteger),
    Column("reserved_cost", BigInteger),
    Index(None, "tenant_id", "bot_id"),
    Index("ix_usage_events_open", "tenant_id", sqlite_where=OPEN, postgresql_where=OPEN),
    of_tenant(),  # not to the bot: what it spent stays spent when it is deleted
    sqlite_with_rowid=False,
)

usage_days = Table(
    "usage_days",
    metadata,
    id_column("tenant_id", primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    of_tenant(),
    sqlite_with_rowid=False,
)
"""What the calls that began on a day and have ended count as, so that a budget need not add up the ledger at each call."""
