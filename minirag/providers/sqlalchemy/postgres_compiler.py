"""`PostgresCompiler`: how statements are written for PostgreSQL where its planner reads one form better than another."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BinaryExpression, Select
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg

from minirag.providers.sqlalchemy.forms import Either

__all__ = ["PostgresCompiler"]


class PostgresCompiler(PGCompiler_psycopg):
    """Writes `key IN (list)` as `key = ANY (ARRAY(list))` where the list is given as a parameter.

    The first is a join, for which a planner that does not know the list's length may read all of a bot and throw most of it
    away; the second looks each of them up in an index.
    """

    def visit_in_op_binary(self, binary: BinaryExpression[Any], _operator: Any, **options: Any) -> str:
        """Return the SQL of a membership."""
        query = getattr(binary.right, "element", None)
        if isinstance(query, Select) and all(_is_given(table) for table in query.get_final_froms()):
            column = self.process(binary.left, **options)
            return f"{column} = ANY (ARRAY{self.process(binary.right, **options)})"
        return str(self._generate_generic_binary(binary, " IN ", **options))


def _is_given(table: Any) -> bool:
    return isinstance(getattr(table, "element", None), Either)
