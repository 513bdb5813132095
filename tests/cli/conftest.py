"""The command line in this process, and a workspace to try it on."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minirag.cli import main

DOCUMENTS = {
    "returns.md": "# Returns\n\nA laptop may be returned within 30 days of delivery. Gift cards are never taken back.\n",
    "repairs.txt": "A repair takes seven working days. The battery is repaired for free within two years.\n",
    "sub/prices.csv": "item,price\nlaptop,900\nphone,500\n",
}


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("MINIRAG_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command and return what it printed; `stdin` is what is piped into it."""

    def run(*arguments: object, stdin: str = "") -> Result:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Result(code, out, err)

    return run


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with documents but no workspace; it is the current one."""
    for name, text in DOCUMENTS.items():
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def place(empty: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder as `empty` does, with a workspace `kb` whose tenant `acme` has a bot `support` that knows the documents."""
    options = ["-w", "kb", "-t", "acme", "-b", "support", "--create", "--embedder", "hashing", "-q"]
    assert main(["add", "docs", *options]) == 0
    monkeypatch.setenv("MINIRAG_WORKSPACE", "kb")
    return empty
