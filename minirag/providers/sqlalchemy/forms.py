"""`either`: an expression that each database writes in its own words. The statements around it are the same for all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, bindparam, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["Either", "each_integer", "each_number", "each_text", "either"]


class Either(FunctionElement[Any]):
    """Two expressions of the same meaning: SQLite's, and PostgreSQL's."""

    name = "either"
    inherit_cache = True

    def __init__(self, sqlite: ColumnElement[Any], postgres: ColumnElement[Any]) -> None:
        super().__init__(sqlite, postgres)
        self.type = sqlite.type


@compiles(Either)
def _write_for_sqlite(element: Either, compiler: Any, **options: Any) -> str:
    return str(compiler.process(next(iter(element.clauses)), **options))


@compiles(Either, "postgresql")
def _write_for_postgres(element: Either, compiler: Any, **options: Any) -> str:
    return str(compiler.process(list(element.clauses)[1], **options))


def either(sqlite: ColumnElement[Any], postgres: ColumnElement[Any]) -> Either:
    """Return an expression written one way for SQLite, the other for PostgreSQL."""
    return Either(sqlite, postgres)


def each_text(name: str) -> Either:
    """Return a table, its column `value`, of the strings of a JSON array given as a parameter."""
    return Either(func.json_each(bindparam(name)), func.minirag_texts(bindparam(name)))


def each_integer(name: str) -> Either:
    """Return a table, its column `value`, of the integers of a JSON array given as a parameter."""
    return Either(func.json_each(bindparam(name)), func.minirag_integers(bindparam(name)))


def each_number(name: str) -> Either:
    """Return a table, its column `value`, of the numbers of a JSON array given as a parameter."""
    return Either(func.json_each(bindparam(name)), func.minirag_numbers(bindparam(name)))
