"""The parser of streams that come as lines of JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirag.providers.http.json_lines import LineParser


def parse(*parts: bytes) -> list[str]:
    """Return all lines of a stream that arrives in these parts."""
    parser = LineParser()
    return [line for part in parts for line in parser.feed(part)] + parser.finish()


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"1\n2\n", ["1", "2"]),
        (b"1\r\n2\r\n", ["1", "2"]),
        (b"1\n\n \n2", ["1", "2"]),
        (b"\xef\xbb\xbf1\n", ["1"]),
        (b"", []),
        ("a\u2028b\n".encode(), ["a\u2028b"]),
        (b"\xff\n", ["\ufffd"]),
    ],
)
def test_lines_end_at_line_feeds_alone(received: bytes, expected: list[str]) -> None:
    """Empty lines, a carriage return, a missing last line end."""
    assert parse(received) == expected


@given(st.lists(st.integers() | st.sampled_from(["ä😀", "日本"]), min_size=1), st.data())
def test_where_the_parts_are_cut_does_not_matter(values: list[object], data: st.DataObject) -> None:
    """Any cut of the bytes, also inside a character, gives the same lines."""
    whole = "".join(f"{value}\n" for value in values).encode()
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    parts = [whole[start:stop] for start, stop in zip([0, *places], [*places, len(whole)], strict=True)]
    assert parse(*parts) == [str(value) for value in values]
