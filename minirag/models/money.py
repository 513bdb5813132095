"""Amounts of US dollars: exact, as integers inside and as decimals outside, whatever the decimal context of the host."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["dollars", "exact_dollars", "exact_number", "picodollars"]


def exact_dollars(amount: int) -> Decimal:
    """Return millionths of a millionth of a dollar as dollars."""
    return Decimal(f"{amount}e-12")


def picodollars(amount: Decimal) -> int:
    """Return dollars as millionths of a millionth of a dollar; what is less than one is left out."""
    numerator, denominator = amount.as_integer_ratio()
    return numerator * 10**12 // denominator


def dollars(amount: Decimal) -> str:
    """Return an amount for a message, to a millionth of a dollar."""
    return f"${amount:,.6f}"


def exact_number(value: object) -> object:
    """Return a float as the decimal that it is written as, for a validator: 0.1 is meant as a tenth, not as the float beside it."""
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return str(value) if isinstance(value, float) else value
