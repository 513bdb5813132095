"""A tenant of many chunks moves from SQLite with FAISS to PostgreSQL with pgvector and back, and answers as it did.

`nox -s moving -- --documents 20000` moves as many; the ordinary run moves a thousand.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import minirag
from minirag.providers.local.hashing import Hashing
from minirag.types import SearchMode
from tests.benchmarks.corpus import DIMENSION, Corpus, make_corpus
from tests.benchmarks.embedding import CorpusEmbedder
from tests.servers.postgres_server import PostgresServer

MODES: Final[tuple[SearchMode, ...]] = ("dense", "keyword", "hybrid")
CHATS: Final = 10
TOP: Final = 10


class Embedder(CorpusEmbedder):
    """Knows the corpus, and counts the words of texts on houses, on which questions are answered."""

    def embed(self, texts: Sequence[str], *, purpose: str) -> Any:
        rows = np.empty((len(texts), DIMENSION), np.float32)
        for number, text in enumerate(texts):
            inner = self._counted if "house" in text else super()
            rows[number] = inner.embed([text], purpose=purpose)[0]  # type: ignore[arg-type]  # a purpose
        return rows

    _counted = Hashing(dimension=DIMENSION)


def test_a_large_tenant_is_the_same_there_and_back(
    tmp_path: Path, postgres: PostgresServer, request: pytest.FixtureRequest
) -> None:
    """Equal exact hits in every mode, nearly equal ones by the index, the same chats, and every citation opens."""
    size = request.config.getoption("--documents")
    queries = 200 if size >= 10_000 else 40
    corpus = make_corpus(tmp_path / "corpus", size, changed=0, queries=queries)
    embedder = Embedder(corpus.folder)
    indexed: Any = {"provider": "pgvector", "options": {"index_from": 500}}
    with (
        minirag.Workspace.open(tmp_path / "home", embedder=embedder) as home,
        minirag.Workspace.open(
            postgres.new_database(), index=indexed, embedder=embedder, cache_dir=tmp_path / "cache"
        ) as away,
        minirag.Workspace.open(tmp_path / "back", embedder=embedder) as back,
    ):
        with printed(f"filled with {size:,} documents"):
            fill(home, corpus)
        move(home, away, tmp_path / "one.zip", "SQLite and FAISS to PostgreSQL and pgvector")
        move(away, back, tmp_path / "two.zip", "and back")
        assert bot_of(away).stats().engine == "pgvector hnsw"
        expected = {mode: found(home, corpus, mode, exact=True) for mode in MODES}
        said = spoken(home)
        assert len(said) == CHATS
        near = found(home, corpus, "dense", exact=False)
        for workspace, name in ((away, "there"), (back, "back")):
            assert bot_of(workspace).stats().chunks == size + CHATS
            with printed(f"{name}: {queries} queries in three modes, exact"):
                for mode in MODES:
                    assert found(workspace, corpus, mode, exact=True) == expected[mode]
            assert spoken(workspace) == said
            shares = {mode: overlap(found(workspace, corpus, mode, exact=False), expected[mode]) for mode in MODES}
            beside = overlap(found(workspace, corpus, "dense", exact=False), near)
            print(f"{name}: by the index, in common with exact: {shares}; dense, with the index at home: {beside}")
            assert min(*shares.values(), beside) >= 0.99


def fill(workspace: minirag.Workspace, corpus: Corpus) -> None:
    """Make the tenant, its documents and some chats."""
    bot = workspace.tenant("acme", create=True).bot("support", create=True, chunker="whole", language="none")
    for begin in range(0, corpus.size, 1_000):
        bot.add(corpus.documents(begin, min(begin + 1_000, corpus.size)), progress=False)
    bot.add(
        minirag.DocumentInput(text=f"The kettle of house {n} stands beside lantern {7 * n}.", key=f"house-{n}")
        for n in range(CHATS)
    )
    bot.optimize()
    for number in range(CHATS):
        bot.chat().send(f"Where does the kettle of house {number} stand?")


def move(old: minirag.Workspace, new: minirag.Workspace, archive: Path, name: str) -> None:
    """Export the tenant, import it, and build what searches it fast."""
    with printed(f"{name}: export"):
        old.tenants.export("acme", archive, progress=False)
    with printed(f"{name}: import"):
        new.tenants.import_(archive, progress=False)
    with printed(f"{name}: optimize"):
        bot_of(new).optimize()


def bot_of(workspace: minirag.Workspace) -> minirag.Bot:
    """Return the bot that moves."""
    return workspace.tenant("acme").bot("support")


def found(
    workspace: minirag.Workspace, corpus: Corpus, mode: SearchMode, *, exact: bool
) -> list[list[tuple[str, int, float]]]:
    """Return the best hits of each query: key, place and score."""
    results = bot_of(workspace).search_many(corpus.queries, k=TOP, mode=mode, exact=exact)
    return [[(hit.key, hit.start, round(hit.score, 6)) for hit in hits] for hits in results]


def overlap(some: list[list[tuple[str, int, float]]], others: list[list[tuple[str, int, float]]]) -> float:
    """Return the share of hits that both have."""
    common = sum(
        len({hit[:2] for hit in one} & {hit[:2] for hit in other}) for one, other in zip(some, others, strict=True)
    )
    return common / sum(map(len, others))


def spoken(workspace: minirag.Workspace) -> list[Any]:
    """Return each chat's messages with what their citations open."""
    bot = bot_of(workspace)
    chats = []
    for chat in bot.chats.list():
        messages = bot.chat(chat.id).messages
        cited = [citation for message in messages for citation in message.citations]
        assert all(bot.open(citation) == citation.quote for citation in cited)
        assert cited
        chats.append(
            [(message.role, message.text, [citation.key for citation in message.citations]) for message in messages]
        )
    return sorted(chats)


@contextmanager
def printed(name: str) -> Iterator[None]:
    """Print how long the block took."""
    began = time.perf_counter()
    yield
    print(f"{name}: {time.perf_counter() - began:.1f} s")
