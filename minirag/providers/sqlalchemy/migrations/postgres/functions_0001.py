"""The functions of the first schema in PostgreSQL: JSON as the statements read it. Frozen with their revision.

The kinds of JSON values have the names that SQLite gives them. A path is `$."name"`, as SQLite takes it; the name between is
taken as it is.
"""

# ruff: noqa: S608 - nothing is put into these statements but what stands here

from __future__ import annotations

from typing import Final

__all__ = ["FUNCTIONS"]

_SQL: Final = "LANGUAGE sql IMMUTABLE PARALLEL SAFE"

FUNCTIONS: Final = (
    # ---------------------------------------------------------------- lists that are given as parameters
    f"""
CREATE FUNCTION minirag_texts(list text) RETURNS TABLE (value text) {_SQL} ROWS 100 AS $$
    SELECT given.value FROM json_array_elements_text(list::json) AS given (value)
$$
    """,
    f"""
CREATE FUNCTION minirag_integers(list text) RETURNS TABLE (value bigint) {_SQL} ROWS 100 AS $$
    SELECT given.value::bigint FROM json_array_elements_text(list::json) AS given (value)
$$
    """,
    f"""
CREATE FUNCTION minirag_pairs(list text) RETURNS TABLE (value json, first text, second text) {_SQL} ROWS 100 AS $$
    SELECT given.value, given.value ->> 0, given.value ->> 1 FROM json_array_elements(list::json) AS given (value)
$$
    """,
    # ---------------------------------------------------------------- values
    # Decimals compare exactly with integers, as Python compares them: a float from 2^53 on is a whole number, which its
    # shortest decimal may not be.
    f"""
CREATE FUNCTION minirag_number(given json) RETURNS numeric {_SQL} AS $$
    SELECT CASE
        WHEN json_typeof(given) <> 'number' THEN NULL
        WHEN given::text !~ '[.eE]' THEN given::text::numeric
        WHEN abs(given::text::numeric) BETWEEN 9007199254740992 AND 9223372036854774784
            THEN given::text::float8::bigint::numeric
        WHEN given::text::float8 = -9223372036854775808 THEN -9223372036854775808
        ELSE given::text::numeric
    END
$$
    """,
    f"""
CREATE FUNCTION minirag_read_number(given text) RETURNS numeric {_SQL} AS $$
    SELECT minirag_number(given::json)
$$
    """,
    f"""
CREATE FUNCTION minirag_numbers(list text) RETURNS TABLE (value numeric) {_SQL} ROWS 100 AS $$
    SELECT minirag_number(given.value) FROM json_array_elements(list::json) AS given (value)
$$
    """,
    f"""
CREATE FUNCTION minirag_text(given json) RETURNS text {_SQL} AS $$
    SELECT given #>> '{{}}'
$$
    """,
    f"""
CREATE FUNCTION minirag_truth(given json) RETURNS integer {_SQL} AS $$
    SELECT CASE given::text WHEN 'true' THEN 1 WHEN 'false' THEN 0 END
$$
    """,
    f"""
CREATE FUNCTION minirag_kind(given json) RETURNS text {_SQL} AS $$
    SELECT CASE json_typeof(given)
        WHEN 'string' THEN 'text' WHEN 'number' THEN 'real' WHEN 'boolean' THEN given::text ELSE json_typeof(given)
    END
$$
    """,
    f"""
CREATE FUNCTION minirag_tag(given json, path text) RETURNS text {_SQL} AS $$
    SELECT CASE json_typeof(given) WHEN 'object' THEN given ->> substr(path, 4, length(path) - 4) END
$$
    """,
    # ---------------------------------------------------------------- documents
    f"""
CREATE FUNCTION minirag_value(document text, path text) RETURNS json {_SQL} AS $$
    SELECT document::json -> substr(path, 4, length(path) - 4)
$$
    """,
    f"""
CREATE FUNCTION minirag_type(document text, path text) RETURNS text {_SQL} AS $$
    SELECT minirag_kind(minirag_value(document, path))
$$
    """,
    f"""
CREATE FUNCTION minirag_entries(document text) RETURNS TABLE (key text, value json, type text) {_SQL} ROWS 5 AS $$
    SELECT entry.key, entry.value, minirag_kind(entry.value) FROM json_each(document::json) AS entry (key, value)
$$
    """,
    f"""
CREATE FUNCTION minirag_items(given json) RETURNS TABLE (value json, type text) {_SQL} ROWS 5 AS $$
    SELECT item.value, minirag_kind(item.value)
    FROM json_array_elements(CASE json_typeof(given) WHEN 'array' THEN given ELSE '[]' END) AS item (value)
$$
    """,
    f"""
CREATE FUNCTION minirag_declared(profile text) RETURNS text {_SQL} AS $$
    SELECT profile::json ->> 'filterable'
$$
    """,
    # ---------------------------------------------------------------- rows of the declared fields
    # The bits of a float, written so that texts are in the order of the numbers.
    f"""
CREATE FUNCTION minirag_number_key(given numeric) RETURNS text {_SQL} AS $$
    SELECT CASE
        WHEN given >= 0 THEN '1' || encode(float8send(given::float8), 'hex')
        ELSE '0' || translate(encode(float8send(given::float8), 'hex'), '0123456789abcdef', 'fedcba9876543210')
    END
$$
    """,
    f"""
CREATE FUNCTION minirag_field(given json) RETURNS text {_SQL} AS $$
    SELECT CASE json_typeof(given)
        WHEN 'string' THEN substr(minirag_text(given), 1, 100)
        WHEN 'number' THEN minirag_number_key(minirag_number(given))
        WHEN 'boolean' THEN minirag_truth(given)::text
        WHEN 'object' THEN coalesce(given ->> '$date', given ->> '$datetime')
        ELSE ''
    END
$$
    """,
)
