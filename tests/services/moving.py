"""What the tests of moving a bot share: the embedder that it is moved to, and what must hold of it then."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput
from minirag.interfaces import Familiarity
from tests.services.conftest import CountingEmbedder

__all__ = ["Target", "check_moved", "document", "fill", "rows"]


class Target(CountingEmbedder):
    """The embedder that bots are moved to."""

    metered = True
    max_tokens: int | None = 12

    def __init__(self, model: str = "target", dimension: int = 96) -> None:
        super().__init__(model, dimension)
        self.waiting: list[Callable[[], object]] = []
        """What is done before the next batch."""

    def embed(self, texts: Any, *, purpose: Any) -> Any:
        if self.waiting:
            self.waiting.pop()()
        return super().embed(texts, purpose=purpose)

    def familiarity(self, text: str) -> Familiarity:
        words = len(text.split())
        return Familiarity(words=words, known=words / 2)


def document(number: int, words: int = 3) -> DocumentInput:
    """Return a document of one chunk with words of its own."""
    return DocumentInput(text=f"Kettle {number} boils " + f"in {number * 7} s " * words, key=f"k{number}")


def fill(bot: minirag.Bot, count: int, *, first: int = 0) -> None:
    bot.add(document(number) for number in range(first, first + count))


def rows(folder: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "kb" / "minirag.sqlite3")) as connection:
        return connection.execute(statement).fetchall()


def check_moved(bot: minirag.Bot, folder: Path, embedder: CountingEmbedder) -> None:
    """Fail unless every chunk has one vector, made by this embedder of its own text, and searches rank by them."""
    spaces = rows(folder, "SELECT space, count(*) FROM embeddings GROUP BY space")
    fingerprint = bot._context.load().space.fingerprint
    assert spaces == [(fingerprint, bot.stats().chunks)]
    query = "Kettle 33 boils"
    found = {hit.key: hit.score for hit in bot.search(query, k=10_000, mode="dense")}
    texts = {each.key: bot.documents.text(each.key) for each in bot.documents.list()}
    assert found.keys() == texts.keys()
    inner = embedder._inner
    vector = inner.embed([query], purpose="query")[0].astype(float)
    for key, text in texts.items():
        expected = float(inner.embed([text.rstrip()], purpose="document")[0].astype(float) @ vector)
        assert found[key] == pytest.approx(expected, abs=1e-5), key
    assert [hit.key for hit in bot.search(query, k=1)] == ["k33"]
