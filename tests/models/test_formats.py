"""Formats are known by extension or by their bytes, and what cannot be read is explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirag.models.formats import (
    PARSER_EXTENSIONS,
    UNSUPPORTED,
    explain_unsupported,
    extension_of,
    looks_binary,
    media_type_for,
    sniff_extension,
)

FILES = Path(__file__).parent.parent / "data" / "files"


@pytest.mark.parametrize(
    ("name", "extension", "binary"),
    [
        ("r2r_sample.pdf", ".pdf", True),
        ("r2r_sample.docx", ".docx", True),
        ("r2r_sample.rtf", ".rtf", False),
        ("r2r_sample.eml", ".eml", False),
        ("r2r_sample.html", ".html", False),
        ("xquad_zh_utf16.txt", None, False),
        ("cjk_shift_jis.txt", None, False),
        ("r2r_sample.csv", None, False),
    ],
)
def test_bytes_tell_their_format(name: str, extension: str | None, binary: bool) -> None:
    """A file of unknown extension is known by its bytes where they are unmistakable."""
    assert sniff_extension((FILES / name).read_bytes()) == extension
    assert looks_binary((FILES / name).read_bytes()) is binary


def test_formats_are_disjoint() -> None:
    """No extension has two parsers, or a parser and an excuse; each that is read has a media type."""
    extensions = [extension for several in PARSER_EXTENSIONS.values() for extension in several]
    assert len(set(extensions)) == len(extensions)
    assert not set(extensions) & set(UNSUPPORTED)
    assert all(media_type_for(extension) for extension in extensions)
    assert extension_of("a/b.TAR.Gz") == ".gz"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.DOC", ("'.doc'", "save it as '.docx'")),
        ("a.mbox", ("'.mbox'", "'.eml'")),
        ("a.xyz", ("'.xyz'", "PDF")),
    ],
)
def test_unsupported_formats_are_explained(name: str, words: tuple[str, ...]) -> None:
    """The message names the file and its format, and says what to do."""
    message = explain_unsupported(name)
    assert repr(name) in message
    assert all(word in message for word in words)
