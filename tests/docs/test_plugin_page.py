"""Who follows the page about plugins has typed the example package, file by file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks_of

PAGE = ROOT / "docs/how-to/write-a-plugin.md"
PACKAGE = ROOT / "tests/sample_plugin"
LEFT_BEHIND = {".pytest_cache", "__pycache__", "build", "dist"}


def typed() -> dict[str, str]:
    """Return the content of each file that the page writes; blocks of one file are parted by two empty lines."""
    files: dict[str, str] = {}
    for block in blocks_of(PAGE):
        if block.file is not None:
            files[block.file] = f"{files[block.file]}\n\n{block.text}" if block.file in files else block.text
    return files


def package() -> list[str]:
    """Return the names of the package's files, without what tools leave behind."""
    files = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file())
    return sorted(
        file.as_posix() for file in files if not any(part in LEFT_BEHIND or "egg-info" in part for part in file.parts)
    )


def test_every_file_is_on_the_page() -> None:
    """And the page writes no other."""
    assert sorted(typed()) == package()


@pytest.mark.parametrize("name", package())
def test_a_file_is_as_typed(name: str) -> None:
    """Byte for byte."""
    assert Path(PACKAGE, name).read_bytes().decode() == typed()[name]
