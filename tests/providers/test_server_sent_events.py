"""The parser of server-sent events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirag.providers.http.server_sent_events import EventParser


def parse(*parts: bytes) -> list[str]:
    """Return the data of all events in a stream that arrives in these parts."""
    parser = EventParser()
    return [data for part in parts for data in parser.feed(part)] + parser.finish()


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a\n\n", [" a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data\n\n", [""]),
        (b": a comment\n\ndata: a\n\n", ["a"]),
        (b"event: message\nid: 1\nretry: 5\ndata: a\n\n", ["a"]),
        (b"event: ping\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a", ["a"]),
        (b"data: a\n", ["a"]),
        (b"", []),
        ("data: a\u2028b\u0085c\n\n".encode(), ["a\u2028b\u0085c"]),
        (b"data: \xff\n\n", ["\ufffd"]),
    ],
)
def test_events_are_cut_as_the_standard_says(received: bytes, expected: list[str]) -> None:
    """Line ends of three kinds, several data lines, comments, other fields, a missing last line."""
    assert parse(received) == expected


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_where_the_parts_are_cut_does_not_matter(texts: list[str], end: str, data: st.DataObject) -> None:
    """Any cut of the bytes, also inside a character or a CRLF, gives the same events."""
    whole = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    parts = [whole[start:stop] for start, stop in zip([0, *places], [*places, len(whole)], strict=True)]
    assert parse(*parts) == texts
