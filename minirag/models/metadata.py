"""Metadata: which values are allowed, and how they are written as JSON without losing their types."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from minirag.errors import InvalidMetadataError
from minirag.types import MetadataValue

__all__ = ["check_metadata", "decode_metadata", "encode_metadata", "encode_value"]

_DECODER: Final = json.JSONDecoder()
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_INTEGER_LIMIT = 2**63
_ALLOWED = "str, bool, int, finite float, date, aware datetime, None, or a list of str or of int"


def check_metadata(metadata: object) -> dict[str, MetadataValue]:
    """Return `metadata` as a plain dict of allowed values.

    Raises:
        InvalidMetadataError: naming the field and the type that is not allowed.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidMetadataError(f"metadata must be a mapping of str to values, not {type(metadata).__name__}")
    checked: dict[str, MetadataValue] = {}
    for name, value in metadata.items():
        if not isinstance(name, str) or not name:
            raise InvalidMetadataError(f"metadata names must be non-empty strings, not {name!r}")
        if name.startswith("$"):
            raise InvalidMetadataError(f"metadata name {name!r}: names that begin with '$' are reserved; rename it")
        if not _is_clean(name):
            raise InvalidMetadataError(f"metadata name {name!r}: NUL and lone surrogates cannot be stored")
        checked[name] = _check_value(name, value)
    return checked


def _is_clean(text: str) -> bool:
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_value(name: str, value: Any) -> MetadataValue:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not _is_clean(value):
            raise InvalidMetadataError(f"metadata {name!r}: NUL and lone surrogates cannot be stored")
        return str.__str__(value)
    if isinstance(value, int):
        if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
            raise InvalidMetadataError(f"metadata {name!r}: integers must fit in 64 bits; store {name!r} as a str")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidMetadataError(f"metadata {name!r}: {value!r} is not finite; use None or leave it out")
        return float(value)
    if isinstance(value, dt.datetime):
        if value.tzinfo is None or value.utcoffset() is None:
            raise InvalidMetadataError(f"metadata {name!r}: the datetime has no time zone; add tzinfo")
        try:
            value.astimezone(dt.UTC)
        except OverflowError:
            raise InvalidMetadataError(
                f"metadata {name!r}: the datetime is outside the years 1 to 9999 in UTC"
            ) from None
        return value
    if isinstance(value, dt.date):
        return value
    if isinstance(value, list | tuple):
        items = [_check_value(name, item) for item in value]
        if all(isinstance(item, str) for item in items):
            return items  # type: ignore[return-value]  # every item was just checked to be a str
        if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            return items  # type: ignore[return-value]  # every item was just checked to be an int
        raise InvalidMetadataError(f"metadata {name!r}: a list must hold only str or only int")
    raise InvalidMetadataError(f"metadata {name!r}: {type(value).__name__} is not allowed; use {_ALLOWED}")


def encode_value(value: MetadataValue) -> Any:
    """Return the JSON form of one value: dates and datetimes become one-key objects that keep their type.

    A datetime is written in UTC with six decimals, so that the order of the strings is the order in time.
    """
    if isinstance(value, dt.datetime):
        return {"$datetime": value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")}
    if isinstance(value, dt.date):
        return {"$date": value.isoformat()}
    return value


def encode_metadata(metadata: Mapping[str, MetadataValue]) -> str:
    """Return checked metadata as canonical JSON: sorted names, no spaces."""
    if not metadata:
        return "{}"
    # Not json.dumps: it would make an encoder each time.
    return _ENCODER.encode({name: encode_value(value) for name, value in metadata.items()})


def decode_metadata(text: str) -> dict[str, MetadataValue]:
    """Return the metadata that `encode_metadata` wrote."""
    if text == "{}":
        return {}
    # Not json.loads: it looks for spaces around, which takes longer than the decoding; a search decodes many.
    plain: dict[str, Any] = _DECODER.raw_decode(text)[0]
    if '{"$date' not in text:
        return plain
    return {name: _decode_value(value) for name, value in plain.items()}


def _decode_value(value: Any) -> MetadataValue:
    if isinstance(value, dict):
        if "$datetime" in value:
            return dt.datetime.fromisoformat(value["$datetime"])
        return dt.date.fromisoformat(value["$date"])
    return value  # type: ignore[no-any-return]  # JSON holds only what encode_value let in
