"""Alembic's environment: migrates on the connection, and in the transaction, that `postgres_schema` opened."""

from __future__ import annotations

from alembic import context

from minirag.providers.sqlalchemy.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
