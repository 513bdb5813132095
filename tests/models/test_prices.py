"""Prices: found by name or pattern, exact to a millionth of a millionth of a dollar, and never 0 where they are not known."""

from __future__ import annotations

import decimal
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from minirag.config import config_from
from minirag.errors import ConfigurationError, InvalidInputError
from minirag.models.prices import Price, Prices, check_prices
from minirag.models.usage import UsageEvent, UsageRow, UsageTotal
from minirag.types import utc_now


def test_given_prices_come_first_and_the_longest_pattern_wins() -> None:
    """An exact name before patterns, a longer pattern before a shorter one, what is given before what is shipped."""
    prices = check_prices(
        {
            "openai:*": {"input": 9, "output": 9},
            "openai:gpt-4o*": {"input": 2.5, "output": 10},
            "openai:gpt-4o-mini": {"input": "0.15", "output": "0.60"},
            "anthropic:claude-sonnet*": {"input": 1, "output": 1},
        }
    )

    def found(name: str) -> Decimal | None:
        price = prices.of(*name.split(":", 1))
        return None if price is None else price.input

    assert found("openai:gpt-4o-mini") == Decimal("0.15")
    assert found("openai:gpt-4o-2024-08-06") == Decimal("2.5")
    assert found("openai:o3") == 9
    assert found("anthropic:claude-sonnet-4-5-20250929") == 1
    assert found("mistral:mistral-small") is None
    shipped = Prices().of("anthropic", "claude-sonnet-4-5-20250929")
    assert shipped is not None
    assert (shipped.input, shipped.output) == (3, 15)


@pytest.mark.parametrize("precision", [3, 28])
def test_costs_are_exact(precision: int) -> None:
    """A cost is the price times the tokens, without rounding, whatever the decimal context of the host is."""
    with decimal.localcontext(prec=precision):
        cost = Price(input=0.1, output="0.000001").cost(123_456_789, 7)  # type: ignore[arg-type]  # as an application writes it
        large = Price(input=999_999, output=0).cost(10**12)  # type: ignore[arg-type]  # as an application writes it
    assert cost == Decimal("12.345678900007")
    assert large == Decimal(999_999 * 10**6)


def test_what_is_not_known_is_not_0() -> None:
    """A model that writes for an unknown price has no cost; one that only reads has."""
    embedder = Price(input=Decimal("0.02"))
    assert embedder.cost(1_000_000) == Decimal("0.02")
    assert embedder.cost(10, 1) is None
    assert Price(input=Decimal(0), output=Decimal(0)).cost(10, 1) == 0


def test_totals_say_what_is_not_in_them() -> None:
    """A total is the sum of the known costs, None if none is known, and shows how many calls it leaves out."""

    def row(**cost: Any) -> UsageRow:
        return UsageRow(kind="llm", provider="p", model="m", calls=3, failed=0, input_tokens=1, output_tokens=1, **cost)

    known, partly, unknown = row(cost=Decimal("0.5")), row(cost=Decimal("0.25"), unpriced=2), row(unpriced=3)
    total = UsageTotal(rows=(known, partly, unknown))
    assert (total.cost, total.unpriced) == (Decimal("0.75"), 5)
    assert UsageTotal(rows=(unknown,)).cost is None
    assert UsageTotal(rows=()).cost is None
    lines = str(total).splitlines()
    assert lines[0].endswith("$0.500000")
    assert lines[1].endswith("$0.250000 and 2 calls of unknown cost")
    assert lines[2].endswith("cost unknown")
    for shown in ("$0.500000", "cost unknown"):
        assert shown in total._repr_html_()
    event = UsageEvent(
        id="1",
        bot_id="b",
        kind="llm",
        provider="p",
        model="m",
        status="done",
        cost=Decimal("0.1"),
        started_at=utc_now(),
    )
    assert "cost=Decimal('0.1')" in repr(event)


def test_shipped_prices_are_dated_and_say_where_they_are_from() -> None:
    """Every shipped price names a month and a page of the vendor's own."""
    shipped = Prices()._shipped
    assert shipped
    for name, price in shipped.items():
        assert re.fullmatch(r"20\d\d-\d\d", price.as_of or ""), name
        vendor = {"anthropic": "claude.com", "voyage": "voyageai.com"}[name.split(":")[0]]
        assert vendor in (price.page or "").split("/")[2], name
        assert price.output is not None or name.startswith("voyage:"), name


def test_a_file_of_prices(tmp_path: Path) -> None:
    """A JSON file holds what a mapping would; its numbers are taken as they are written."""
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"x:y": {"input": 0.1, "output": 3}}), encoding="utf-8")
    price = check_prices(file).of("x", "y")
    assert price == check_prices(str(file)).of("x", "y")
    assert price is not None
    assert str(price.input) == "0.1"


@pytest.mark.parametrize(
    ("prices", "named"),
    [
        (5, "prices"), ([], "prices"), ({"gpt-4o": {"input": 1}}, "gpt-4o"), ({"x:": {"input": 1}}, "x:"),
        ({5: {"input": 1}}, "name"), ({"x:y": 5}, "x:y"), ({"x:y": {}}, "input"), ({"x:y": {"input": -1}}, "x:y.*input"),
        ({"x:y": {"input": 1, "outputs": 1}}, "x:y.*outputs"), ({"x:y": {"input": float("inf")}}, "input"),
        ({"x:y": {"input": True}}, "input"), ({"x:y": {"input": "cheap"}}, "input"), ({"x:y": {"input": 1, "currency": "EUR"}}, "currency"),
        ({"x:y": {"input": 0.0000001}}, "input"), ("no/such/file.json", "no/such/file.json"), ("", "prices"),
    ],
)  # fmt: skip
def test_wrong_prices_are_named(prices: Any, named: str) -> None:
    """What cannot be a price is refused by the model's name and the field's."""
    with pytest.raises(InvalidInputError, match=named):
        check_prices(prices)


def test_prices_in_a_configuration(tmp_path: Path) -> None:
    """A configuration holds prices, or names their file, meant from its own folder; a wrong one is a `ConfigurationError`."""
    (tmp_path / "prices.json").write_text('{"x:y": {"input": 2}}', encoding="utf-8")
    for number, lines in enumerate(('prices = "prices.json"', '[prices."x:y"]\ninput = 2')):
        file = tmp_path / f"{number}.toml"
        file.write_text(f'location = "kb"\n{lines}\n', encoding="utf-8")
        price = check_prices(config_from(file).prices).of("x", "y")
        assert price is not None
        assert price.input == 2
    with pytest.raises(ConfigurationError, match="x:y"):
        config_from({"location": "kb", "prices": {"x:y": {"input": -2}}})


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"x:y": 1}', "\xff"])
def test_wrong_files_are_named(tmp_path: Path, text: str) -> None:
    """A file that is no JSON, or holds no prices, is named or says what it should hold."""
    file = tmp_path / "prices.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInputError, match="prices"):
        check_prices(file)
