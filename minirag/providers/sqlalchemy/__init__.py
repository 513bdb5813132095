"""The storage on SQLAlchemy Core: one SQLite file. The only package that imports SQLAlchemy and Alembic."""
