"""What models cost: prices by name, given by an application or shipped with the library."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StrictStr

from minirag.errors import InvalidInputError
from minirag.models.base import InputModel
from minirag.models.checks import check_text, clipped
from minirag.models.money import exact_dollars, exact_number, picodollars

__all__ = ["Price", "Prices", "check_prices"]

_LARGEST_FILE: Final = 10_000_000

Dollars = Annotated[
    Decimal, BeforeValidator(exact_number), Field(ge=0, le=1_000_000, decimal_places=6, allow_inf_nan=False)
]


class Price(InputModel):
    """What a million tokens of a model cost.

    Attributes:
        input: US dollars for a million tokens read.
        output: US dollars for a million tokens written; None for a model that writes none, such as an embedder.
        currency: US dollars, which all costs are counted in.
        as_of: when this was the price, such as `"2026-02"`.
        page: where the vendor says so.
    """

    input: Dollars
    output: Dollars | None = None
    currency: Literal["USD"] = "USD"
    as_of: StrictStr | None = Field(default=None, max_length=40)
    page: StrictStr | None = Field(default=None, max_length=2_000)

    def cost(self, input_tokens: int, output_tokens: int = 0) -> Decimal | None:
        """Return what so many tokens cost, exact; None if some were written and what these cost is not known."""
        if self.output is None and output_tokens:
            return None
        # A dollar for a million tokens is a million millionths of a millionth of a dollar for one.
        written = Decimal(0) if self.output is None else self.output
        return exact_dollars((input_tokens * picodollars(self.input) + output_tokens * picodollars(written)) // 10**6)


class Prices:
    """Prices by provider and model. Those that were given come before those that are shipped, exact names before patterns.

    Args:
        given: by name, such as `"openai:gpt-4o-mini"`, or by pattern, such as `"ollama:*"`.
    """

    def __init__(self, given: Mapping[str, Price] | None = None) -> None:
        self._given = dict(given or {})

    @cached_property
    def _shipped(self) -> dict[str, Price]:
        from importlib.resources import files  # a workspace that calls nothing that costs needs none of it

        text = (files("minirag") / "data" / "prices.json").read_text(encoding="utf-8")
        return {name: Price(**fields) for name, fields in json.loads(text).items()}

    def of(self, provider: str, model: str) -> Price | None:
        """Return the price of a model, or None if it is not known."""
        name = f"{provider}:{model}"
        for prices in (self._given, self._shipped):
            if name in prices:
                return prices[name]
            # Of several patterns the longest says most of the name.
            matching = [pattern for pattern in prices if fnmatchcase(name, pattern)]
            if matching:
                return prices[max(matching, key=len)]
        return None


def check_prices(prices: object) -> Prices:
    """Return prices given as a mapping, or as the path of a JSON file that holds one.

    Raises:
        InvalidInputError: naming the model and the field that is unknown or wrong.
    """
    if prices is None or isinstance(prices, Prices):
        return prices or Prices()
    given = _read(os.fspath(prices)) if isinstance(prices, str | os.PathLike) else prices
    if not isinstance(given, Mapping):
        raise InvalidInputError(
            f"prices={clipped(prices)} must be a mapping of models to prices, such as "
            '{"openai:gpt-4o-mini": {"input": 0.15, "output": 0.60}}, or the path of a JSON file of one'
        )
    return Prices({_check_name(name): _check_price(name, value) for name, value in given.items()})


def _read(path: object) -> Any:
    place = Path(check_text("prices", path, maximum=4_000))
    try:
        if place.stat().st_size > _LARGEST_FILE:
            raise InvalidInputError(
                f"prices: the file {clipped(str(place), 200)} is longer than {_LARGEST_FILE:,} bytes"
            )
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise InvalidInputError(f"prices: the file {clipped(str(place), 200)} cannot be read: {why}") from problem
    try:
        return json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as problem:
        raise InvalidInputError(f"prices: the file {clipped(str(place), 200)} is not JSON: {problem}") from problem


def _check_name(name: object) -> str:
    text = check_text("prices: a model's name", name, maximum=500)
    provider, colon, model = text.partition(":")
    if not (provider and colon and model):
        raise InvalidInputError(
            f"prices: {clipped(name)} must be 'provider:model', such as 'openai:gpt-4o-mini' or 'ollama:*'"
        )
    return text


def _check_price(name: object, value: object) -> Price:
    if isinstance(value, Price):
        return value
    if not isinstance(value, Mapping) or not all(isinstance(field, str) for field in value):
        raise InvalidInputError(
            f"prices: {clipped(name)} must be a mapping such as {{'input': 0.15, 'output': 0.60}}, not {clipped(value)}"
        )
    try:
        return Price(**value)
    except InvalidInputError as problem:
        raise InvalidInputError(f"prices: {clipped(name)}: {problem}") from None
