"""`PostgresTransaction`: a transaction of PostgreSQL, held to its tenant by the database itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Engine, Executable
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from minirag.errors import ConflictError, StorageError
from minirag.providers.sqlalchemy.postgres_compiler import PostgresCompiler
from minirag.providers.sqlalchemy.transaction import Transaction
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["Beginning", "PostgresTransaction"]

Beginning = Callable[[str | None, bool], str]
"""Returns the SQL that begins a transaction of a tenant, or of none, for writing or not."""

_DIALECT: Final[Any] = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # of SQLAlchemy
_DIALECT.statement_compiler = PostgresCompiler
_TURN: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


class PostgresTransaction(Transaction):
    """A connection inside a transaction of PostgreSQL.

    A read sees one state (`REPEATABLE READ`), taken when it begins. Writes of one tenant take turns: each holds the tenant's
    advisory lock from its beginning to its end, as each holds the whole database in SQLite. So what a write reads stays as it
    is, log sequences have no gaps and follow the order of commits, and no two writes of a tenant wait for each other's rows.
    Writes of different tenants do not wait for each other.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        tenant_id: str | None,
        write: bool,
        beginning: Beginning,
        written: Callable[[int], None],
    ) -> None:
        self._beginning = beginning
        self._written = written
        self._rows = 0
        super().__init__(engine, tenant_id=tenant_id, write=write)

    def _begin(self) -> None:
        sql = self._beginning(self.tenant_id, self._write)
        for again in (True, False):
            self._lent = self._engine.raw_connection()
            driver: Any = self._lent.driver_connection
            self._driver = driver
            self._made = None
            try:
                if self._write:
                    self._connection.begin()
                self._driver.execute(sql)
            except BaseException:
                # A connection that the server has closed meanwhile is noticed by its first statement only.
                lost = self._driver.closed
                self._give_back(reuse=not lost)
                if lost and again:
                    continue
                raise
            return

    def take_turn(self, tenant_id: str) -> None:
        with translated():
            self._driver.execute(_TURN, (tenant_id,))

    def end(self, *, failed: bool, abandoned: Callable[[], bool]) -> None:
        broken = self._write and not failed and self._driver.info.transaction_status.name == "INERROR"
        super().end(failed=failed or broken, abandoned=abandoned)
        if broken:
            raise StorageError("a statement of the transaction failed, so that nothing of it was written; try it again")
        if self._rows and not failed and not abandoned():
            self._written(self._rows)

    def _is_clean(self) -> bool:
        return not self._driver.closed and self._driver.info.transaction_status.name == "IDLE"

    def tuples(self, statement: Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        sql, fixed = _driver_form(statement)
        with translated():
            found: list[tuple[Any, ...]] = self._driver.execute(sql, {**fixed, **parameters, **self._scope}).fetchall()
        return found

    def run(self, statement: Executable, *, duplicate: ConflictError | None = None, **parameters: Any) -> int:
        with self._undone_alone():
            return super().run(statement, duplicate=duplicate, **parameters)

    def use(self, work: Callable[[Connection], object]) -> None:
        with self._undone_alone():
            super().use(work)

    def many(self, statement: Executable, parameters: Sequence[Mapping[str, Any]]) -> None:
        with self._undone_alone():
            super().many(statement, parameters)

    def insert(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            with self._undone_alone(), translated():
                self._driver.cursor().executemany(_with_percents(sql), rows)
            self._rows += len(rows)

    @contextmanager
    def _undone_alone(self) -> Iterator[None]:
        """A block whose failure leaves the rest of the transaction as it was, which PostgreSQL would give up as a whole."""
        with translated():
            self._driver.execute("SAVEPOINT minirag")
        try:
            yield
        except BaseException:
            if not self._driver.closed:
                with translated():
                    self._driver.execute("ROLLBACK TO SAVEPOINT minirag")
            raise
        with translated():
            self._driver.execute("RELEASE SAVEPOINT minirag")


@lru_cache(maxsize=256)
def _driver_form(statement: Executable) -> tuple[str, dict[str, Any]]:
    """Return a statement's SQL as psycopg takes it, and the values of the parameters that it brings itself."""
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), {name: bind.value for name, bind in compiled.binds.items() if not bind.required}


@lru_cache(maxsize=64)
def _with_percents(sql: str) -> str:
    """Return the SQL of `scoping.driver_insert` and its like with psycopg's marks for parameters."""
    return sql.replace("?", "%s")
