"""The types of the public face, as a type checker sees them: what must pass, and what must not."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from minirag.interfaces import TenantScope

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXPECTED = re.compile(r"# expect: ([a-z-]+)")
FOUND = re.compile(r"^.*?:(\d+): error: .*\[([a-z-]+)\]$", re.MULTILINE)


def check(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """Return mypy's report on a file, and its status."""
    api = pytest.importorskip("mypy.api", reason="mypy is not installed; `nox -s typecheck` runs these tests")
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(os.environ, "MYPYPATH", str(ROOT))
    arguments = [
        "--strict",
        "--no-error-summary",
        "--no-color-output",
        "--no-pretty",
        "--enable-error-code",
        "truthy-bool",
    ]
    report, problems, status = api.run([*arguments, str(HERE / name)])
    assert problems == ""
    return report, status


def test_what_is_right_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented calls have the documented types, on both faces."""
    report, status = check("positive.py", monkeypatch)
    assert report == ""
    assert status == 0


def test_what_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each marked line is an error of the marked kind, and no other line is."""
    report, status = check("negative.py", monkeypatch)
    lines = (HERE / "negative.py").read_text(encoding="utf-8").splitlines()
    expected = {n: match[1] for n, line in enumerate(lines, start=1) if (match := EXPECTED.search(line))}
    assert {int(line): code for line, code in FOUND.findall(report)} == expected, report
    assert status == 1


def test_a_scope_cannot_be_made() -> None:
    """Only the workspace mints a `TenantScope`: its constructor says so."""
    with pytest.raises(TypeError, match=r"workspace\.tenant"):
        TenantScope("acme")
