"""`SqliteTransaction`: a transaction whose statements go straight to SQLite's driver, compiled once by SQLAlchemy."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from minirag.errors import ConflictError
from minirag.providers.sqlalchemy.transaction import Transaction
from minirag.providers.sqlalchemy.translation import translated

__all__ = ["SqliteTransaction"]

_DIALECT: Final[Any] = sqlite.dialect(paramstyle="named")
_MOST_STATEMENTS: Final = 1_024
"""Several times as many as there are: what is not made once, at import, is kept by whoever makes it."""


class _Prepared:
    """A statement as the driver takes it, with what SQLAlchemy would do to its parameters and rows.

    Attributes:
        fixed: the parameters that the statement brings itself.
    """

    __slots__ = ("_bind", "_read", "_row", "fixed", "sql")

    def __init__(self, statement: Executable) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)
        assert not compiled.post_compile_params, "the statement's text depends on its parameters"
        self.sql = str(compiled)
        self.fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._bind: list[tuple[str, Callable[[Any], Any]]] = [
            (name, work)
            for name, bind in compiled.binds.items()
            if (work := bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)) is not None
        ]
        # None of a text, and of what returns no rows.
        columns = list(getattr(statement, "selected_columns", ()))
        self._row = _named([str(column.key) for column in columns])
        self._read: list[tuple[int, Callable[[Any], Any]]] = [
            (at, work)
            for at, column in enumerate(columns)
            if (work := column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)) is not None
        ]

    def bound(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return parameters, and the statement's own, as the driver takes them."""
        values = {**self.fixed, **parameters} if self.fixed else parameters
        if self._bind:
            values = dict(values)
            for name, work in self._bind:
                if name in values:
                    values[name] = work(values[name])
        return values

    def shown(self, rows: Iterable[tuple[Any, ...]], cursor: Any) -> list[Any]:
        """Return the driver's rows with names and the types of their columns."""
        if not self._read:
            # Of a text SQLAlchemy does not know the columns; SQLite does.
            named = self._row or _named([name for name, *_ in cursor.description])
            return list(map(named._make, rows))
        shown = []
        for row in rows:
            values = list(row)
            for at, work in self._read:
                values[at] = work(values[at])
            shown.append(self._row._make(values))
        return shown


def _named(names: Sequence[str]) -> Any:
    """Return a tuple with fields of these names; the first of those named alike has it. None without names."""
    return namedtuple("_Row", names, rename=True) if names else None  # noqa: PYI024 - they are known only now


@lru_cache(maxsize=_MOST_STATEMENTS)
def _prepared(statement: Executable) -> _Prepared:
    return _Prepared(statement)


class SqliteTransaction(Transaction):
    """A transaction of SQLite.

    SQLAlchemy's own work on each execution takes ten times as long as SQLite's on a short statement, and a single document is
    written with some thirty of them. What it writes and reads is the same.

    A write takes SQLite's write lock at once, so that two writers wait for each other instead of failing half-way. A read takes
    its snapshot with its first query.
    """

    def _begin(self) -> None:
        self._lent = self._engine.raw_connection()
        driver: Any = self._lent.driver_connection
        self._driver = driver  # see `engine.connect`
        try:
            self._driver.execute("BEGIN IMMEDIATE" if self._write else "BEGIN")
        except BaseException:
            self._give_back(reuse=True)
            raise

    def _commit(self) -> None:
        self._driver.commit()

    def _is_clean(self) -> bool:
        return not self._driver.in_transaction

    def rows(self, statement: Executable, **parameters: Any) -> Sequence[Any]:
        form = _prepared(statement)
        with translated():
            cursor = self._driver.execute(form.sql, form.bound({**parameters, **self._scope}))
            return form.shown(cursor.fetchall(), cursor)

    def row(self, statement: Executable, **parameters: Any) -> Any:
        form = _prepared(statement)
        with translated():
            cursor = self._driver.execute(form.sql, form.bound({**parameters, **self._scope}))
            found = cursor.fetchone()
            row = None if found is None else form.shown([found], cursor)[0]
            cursor.close()
        return row

    def tuples(self, statement: Executable, **parameters: Any) -> list[tuple[Any, ...]]:
        form = _prepared(statement)
        with translated():
            found: list[tuple[Any, ...]] = self._driver.execute(
                form.sql, {**form.fixed, **parameters, **self._scope}
            ).fetchall()
        return found

    def run(self, statement: Executable, *, duplicate: ConflictError | None = None, **parameters: Any) -> int:
        form = _prepared(statement)
        with translated(duplicate=duplicate):
            return int(self._driver.execute(form.sql, form.bound({**parameters, **self._scope})).rowcount)

    def many(self, statement: Executable, parameters: Sequence[Mapping[str, Any]]) -> None:
        if parameters:
            form = _prepared(statement)
            with translated():
                self._driver.executemany(form.sql, [form.bound({**each, **self._scope}) for each in parameters])
