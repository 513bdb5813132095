"""The storage on SQLAlchemy: one SQLite file. The only package that imports SQLAlchemy and Alembic."""
