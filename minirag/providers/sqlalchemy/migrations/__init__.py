"""Migrations of the schema, run by Alembic when an older database is opened."""
