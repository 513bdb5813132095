"""The same programme and the same tenant on every backend: equal results, equal errors, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput
from minirag.testing import check_congruence
from tests.servers.postgres_server import PostgresServer

Opener = Callable[[str], minirag.Workspace]
REMOTE = ("sqlite+qdrant", "postgres+faiss", "postgres+pgvector")


@pytest.fixture
def opened(tmp_path: Path, postgres: PostgresServer) -> Iterator[Opener]:
    """Return a function that opens a new workspace of a database and an index."""
    with ExitStack() as stack:
        count = iter(range(100))

        def make(backend: str) -> minirag.Workspace:
            storage, _, index = backend.partition("+")
            number = next(count)
            folder = tmp_path / str(number)
            location = str(folder)
            if storage == "postgres":
                location = postgres.new_database()
            named: Any = index
            if index == "qdrant":
                named = {"provider": "qdrant", "options": {"path": str(folder / "qdrant")}}
            elif backend == "postgres+pgvector":
                named = None  # what such a database has of its own accord
            return stack.enter_context(
                minirag.Workspace.open(location, index=named, embedder="hashing", cache_dir=folder / "cache")
            )

        yield make


@pytest.mark.parametrize("backend", REMOTE)
def test_every_backend_answers_as_the_embedded_one(opened: Opener, backend: str) -> None:
    """Adding, removing, listing, searching under filters, asking and chatting, in two tenants."""
    assert check_congruence(opened("sqlite+faiss"), opened(backend), seed=7, steps=60) > 60


def test_a_tenant_moves_to_another_backend_and_back(opened: Opener, tmp_path: Path) -> None:
    """Every search finds the same, every chat says the same, and citations open, in the other database and at home again."""
    home, away, back = (opened(backend) for backend in ("sqlite+faiss", "postgres+pgvector", "sqlite+faiss"))
    bot = home.tenant("acme", create=True).bot("support", create=True, filterable=("part",))
    words = ["harbour", "kettle", "bridge", "lantern", "garden", "invoice"]
    bot.add(
        DocumentInput(
            text=f"The {words[n % 6]} of house {n} is {words[n % 5]} number {n * 7}. It stands beside the {words[n % 4]}.",
            key=f"house-{n}",
            metadata={"part": n % 3},
        )
        for n in range(120)
    )
    bot.chat().send("Where does the kettle of house 7 stand?")
    home.tenants.export("acme", tmp_path / "one.zip")
    away.tenants.import_(tmp_path / "one.zip")
    away.tenants.export("acme", tmp_path / "two.zip")
    back.tenants.import_(tmp_path / "two.zip")
    expected = found(home)
    assert expected
    for workspace in (away, back):
        assert found(workspace) == expected


def found(workspace: minirag.Workspace) -> list[object]:
    """Return what searches find, and what the chat says, with what its citations open."""
    bot = workspace.tenant("acme").bot("support")
    results: list[object] = []
    for number in range(20):
        for mode in ("dense", "keyword", "hybrid"):
            where = {"part": number % 3} if number % 2 else None
            hits = bot.search(f"kettle of house {number}", where=where, mode=mode, exact=True)
            results.append([(hit.key, hit.start, round(hit.score, 6)) for hit in hits])
    for chat in bot.chats.list():
        messages = bot.chat(chat.id).messages
        results += [(said.role, said.text, [bot.open(cited) for cited in said.citations]) for said in messages]
    return results


def test_a_reader_of_a_database_writes_nothing_there(postgres: PostgresServer, tmp_path: Path) -> None:
    """Opened read-only, a workspace in PostgreSQL holds vectors in memory, and finds what the writer finds."""
    url = postgres.new_database()
    with minirag.Workspace.open(url, embedder="hashing", cache_dir=tmp_path / "writer") as writer:
        bot = writer.tenant("acme", create=True).bot("support", create=True)
        bot.add(DocumentInput(text=f"Letter {number} about harbours.", key=str(number)) for number in range(20))
        settings = {"embedder": "hashing", "cache_dir": tmp_path / "reader", "read_only": True}
        with minirag.Workspace.open(url, **settings) as reader:
            seen = reader.tenant("acme").bot("support")
            assert [hit.key for hit in seen.search("letter 7")] == [hit.key for hit in bot.search("letter 7")]
            assert seen.stats().engine == "exact"
        assert bot.stats().engine != "exact"
