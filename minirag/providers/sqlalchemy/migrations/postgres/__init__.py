"""Migrations of the schema in PostgreSQL, run by Alembic when a database is made or an older one is opened."""
