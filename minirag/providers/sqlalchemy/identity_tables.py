"""The tables of people, of tokens, of what was done, and of what was erased: as those in `tables` are."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from minirag.providers.sqlalchemy.tables import belongs_to, id_column, metadata, of_tenant, time_column

__all__ = ["api_tokens", "audit_events", "erasures", "users"]

users = Table(
    "users",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    time_column("locked_until", nullable=True),
    time_column("created_at"),
    time_column("updated_at"),
    UniqueConstraint("tenant_id", "email"),
    of_tenant(),
    sqlite_with_rowid=False,
)

api_tokens = Table(
    "api_tokens",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("user_id"),
    Column("bot_id", String(20)),  # the only bot that it opens; empty for all of them
    Column("kind", Text, nullable=False),
    Column("token_scope", Text, nullable=False),  # `scope` names the tenant in every statement
    Column("token_hash", LargeBinary, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    time_column("created_at"),
    time_column("expires_at", nullable=True),
    time_column("last_used_at", nullable=True),
    time_column("revoked_at", nullable=True),
    UniqueConstraint("token_hash"),
    Index(None, "tenant_id", "user_id"),
    belongs_to("users", "user_id"),
    belongs_to("bots", "bot_id"),
    sqlite_with_rowid=False,
)

audit_events = Table(
    "audit_events",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    time_column("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    of_tenant(),
    sqlite_with_rowid=False,
)

erasures = Table(
    "erasures",
    metadata,
    id_column("tenant_id", primary_key=True),
    id_column("id", primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("bot_id", String(20)),
    Column("sequence", BigInteger, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("keys", LargeBinary, nullable=False),
    Column("traces", LargeBinary, nullable=False),
    time_column("requested_at"),
    time_column("finished_at", nullable=True),
)
"""It refers to nothing: a receipt outlives the bot and the tenant that it is about."""
