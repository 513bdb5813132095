"""Fixtures of the tests of the public face."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirag
from tests.public.engines import TEXTS


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Whatever a test leaves open is an error here, not somewhere later."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with one tenant, one bot and three documents."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text=text, key=f"note-{n}", metadata={"n": n}) for n, text in enumerate(TEXTS))
    return tmp_path / "kb"
