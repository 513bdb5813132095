"""Values that no public method may swallow, by the kind of argument they are bad for."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "CALLBACK",
    "CITATION",
    "COUNT",
    "CREDENTIALS",
    "DOCUMENT",
    "EMAIL",
    "EXPIRES_AT",
    "EXPIRES_IN",
    "FLAG",
    "IDENTIFIER",
    "LIMITS",
    "METADATA",
    "MODE",
    "NAME",
    "NAMED_PROVIDER",
    "NOT_STR",
    "PASSWORD",
    "PRICES",
    "PROVIDER",
    "REFRESH",
    "SLUG",
    "SOURCE",
    "TEXT",
    "WHERE",
    "WORKSPACE",
    "without",
]


class Unprintable:
    """An object whose own repr fails, as half-made objects' do."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


HUGE = "x" * 3_000_000
NOT_STR: list[Any] = [5, 1.5, True, None, math.nan, b"bytes", ["list"], {"a": 1}, object(), Unprintable(), 10**5_000]
TEXT: list[Any] = [*NOT_STR, "", "   ", "\n\t", "a\x00b", "a\ud800b", HUGE]
IDENTIFIER: list[Any] = [*TEXT, "unknown", "'; DROP TABLE bots; --", "é\u202e", "x" * 4_000]
SOURCE: list[Any] = [*IDENTIFIER, "http://[", Path("no/such")]
SLUG: list[Any] = [*IDENTIFIER, "Upper", "a b", "../up", "-a", "a-", "a" * 64, "ü", "acme\n"]
COUNT: list[Any] = [
    "5",
    b"5",
    2.5,
    True,
    None,
    math.nan,
    math.inf,
    -1,
    -(10**9),
    2**31,
    10**30,
    10**5_000,
    [5],
    np.int64(5),
]
FLAG: list[Any] = [1, 0, "yes", None, [], b"", math.nan, Unprintable(), np.bool_(True)]
MODE: list[Any] = [*NOT_STR, "", "HYBRID", "bogus", "hybrid ", "a\ud800", HUGE, np.array(["hybrid", "dense"])]
CALLBACK: list[Any] = [5, "bar", b"", ["x"], object(), 0, 1, Unprintable()]
METADATA: list[Any] = [
    5,
    "text",
    b"bytes",
    [("a", 1)],
    True,
    Unprintable(),
    {5: 1},
    {"": 1},
    {"$key": 1},
    {"a": math.nan},
    {"a": math.inf},
    {"a": object()},
    {"a": b"bytes"},
    {"a": 2**63},
    {"a": 10**5_000},
    {"a": {"b": 1}},
    {"a": [1, "two"]},
    {"a": [[1]]},
    {"a": "\x00"},
    {"a": "\ud800"},
    {"\ud800": 1},
    {"a": dt.datetime(2024, 1, 1)},  # noqa: DTZ001 - naive on purpose
]
_DEEP: Any = {"a": 1}
for _ in range(40):
    _DEEP = {"$and": [_DEEP]}
WHERE: list[Any] = [
    5,
    "lang",
    b"lang",
    ["lang"],
    True,
    Unprintable(),
    {5: 1},
    {"": 1},
    {"$bogus": 1},
    {"a": {"$bogus": 1}},
    {"a": {}},
    {"a": {"$in": "abc"}},
    {"a": {"$exists": 1}},
    {"a": math.nan},
    {"a": 2**63},
    {"a": 10**5_000},
    {"a": b"bytes"},
    {"a": [1]},
    {"a": object()},
    {"a": "\x00"},
    {"a\ud800": 1},
    {"$and": {"a": 1}},
    {"$or": [5]},
    _DEEP,
    {"a": {"$in": list(range(100_000))}},
]
REFRESH: list[Any] = ["60", b"60", True, -1, -0.5, math.nan, math.inf, 10**5_000, [60], dt.timedelta(-1), Unprintable()]
LIMITS: list[Any] = [
    5,
    "many",
    b"many",
    ["documents"],
    True,
    object(),
    Unprintable(),
    {"bogus": 1},
    {5: 5},
    {"documents": -1},
    {"documents": 10**5_000},
    {"chunks": True},
    {"characters": math.nan},
    {"requests": 5},
    {"tokens": {"week": 5}},
    {"cost": {"month": -0.01}},
    {"cost": {"day": math.inf}},
    {"cost": {"total": HUGE}},
]
PRICES: list[Any] = [
    5,
    True,
    b"x",
    ["x"],
    object(),
    Unprintable(),
    "",
    "a\x00b",
    HUGE,
    "no/such/prices.json",
    Path("no/such/prices.json"),
    {5: {"input": 1}},
    {"gpt-4o": {"input": 1}},
    {"x:y": 1},
    {"x:y": {"bogus": 1}},
    {"x:y": {"input": -1}},
    {"x:y": {"input": math.nan}},
    {"x:y": {"input": True}},
    {"x:y": {"input": 10**5_000}},
    {"x:y": {"input": 1, "output": "much"}},
]
PROVIDER: list[Any] = [
    5,
    1.5,
    True,
    b"hashing",
    ["hashing"],
    object(),
    Unprintable(),
    "",
    "  ",
    ":",
    "no-such-provider",
    "a\x00",
    "a\ud800",
    HUGE,
    {},
    {"provider": "hashing", "bogus": 1},
    {"provider": 5},
    {"provider": b"hashing"},
    {"provider": "hashing", "options": 5},
    {"provider": "hashing", "options": {"bogus": 1}},
    {"provider": "hashing", "options": {5: 1}},
    {"provider": "hashing", "options": {"a": Unprintable()}},
    {"provider": "(instance)", "options": {"name": "x"}},
]
NAMED_PROVIDER = [value for value in PROVIDER if not isinstance(value, dict) or "options" not in value]
"""What is refused without making the provider."""
CREDENTIALS: list[Any] = [
    5,
    "secret",
    b"secret",
    ["secret"],
    {5: "secret"},
    {"": "secret"},
    {"api_key": 5},
    {"api_key": ""},
    {"api_key": b"secret"},
    {"api_key": "a\ud800"},
]
DOCUMENT: list[Any] = [
    5,
    1.5,
    True,
    None,
    b"bytes",
    {"text": "x"},
    object(),
    Unprintable(),
    "",
    "  ",
    "no/such/file.txt",
    "a\x00b",
    "a\ud800b",
    HUGE,
    Path("a\x00b"),
    Path("a\ud800b"),
    Path("x" * 5_000),
    "http://",
    "https://[",
    "http://exa mple/",
    [5],
    ["no/such/file.txt"],
    [b"bytes"],
    [["nested"]],
    {"a"}.__class__,
]
EMAIL: list[Any] = [
    *TEXT,
    "ann",
    "@",
    "ann@",
    "@b.com",
    "a@b@c.com",
    "a b@c.com",
    "ann@b..com",
    "<a@b.com>",
    "x" * 300 + "@b.com",
]
PASSWORD: list[Any] = [*NOT_STR, "", "short", " " * 20, "x" * 1_025, "nul\x00 nul\x00", "a\ud800" * 8, HUGE]
NAME: list[Any] = [*NOT_STR, "a\x00b", "a\ud800b", "x" * 201, HUGE]
"""What may be empty, but not this."""
EXPIRES_IN: list[Any] = [
    "60",
    b"60",
    True,
    0,
    -1,
    math.nan,
    math.inf,
    10**5_000,
    1e12,
    [60],
    dt.timedelta(0),
    dt.timedelta.max,
    Unprintable(),
]
EXPIRES_AT: list[Any] = [
    5,
    "2099-01-01",
    True,
    dt.date(2099, 1, 1),
    dt.datetime(2099, 1, 1),  # noqa: DTZ001 - naive on purpose
    dt.datetime(1999, 1, 1, tzinfo=dt.UTC),
    dt.datetime.max.replace(tzinfo=dt.UTC),
    Unprintable(),
]
CITATION: list[Any] = [5, None, "[1]", b"", {}, object(), Unprintable(), True]
WORKSPACE: list[Any] = [
    *TEXT,
    "x" * 3_000,
    "ftp://somewhere",
    "://",
    "mysql+bogus://h/db",
    "sqlite:///file::memory:?cache=shared",
]


def without(values: list[Any], *allowed: Any) -> list[Any]:
    """Return the values that are bad even where these are allowed."""
    return [value for value in values if not any(value is one for one in allowed)]
