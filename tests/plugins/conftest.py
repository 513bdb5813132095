"""Distributions made on the spot, so that plugins are discovered as installed ones are."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest


class Site:
    """A folder on `sys.path` that holds distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, source: str, *, module: str = "", entry_points: str | None = None) -> str:
        """Write a distribution of one module whose entry point bears the distribution's name; return the module."""
        module = module or distribution.replace("-", "_") + "_plugin"
        header = "from minirag.interfaces import ProviderSpec, hookimpl\n"
        (self.folder / f"{module}.py").write_text(header + textwrap.dedent(source), encoding="utf-8")
        self.describe(distribution, entry_points or f"[minirag]\n{distribution} = {module}\n")
        return module

    def describe(self, distribution: str, entry_points: str) -> Path:
        """Write a distribution's metadata alone; return their folder."""
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        info.joinpath("entry_points.txt").write_text(entry_points)
        return info


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder on `sys.path`; the modules imported from it are forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(folder):
            del sys.modules[name]
