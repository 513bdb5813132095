"""A tenant that moves from one backend to another, and a reader of a server's database."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import minirag
from minirag import DocumentInput
from tests.backends.places import BACKENDS, place
from tests.servers.postgres_server import PostgresServer


def test_a_tenant_moves_from_backend_to_backend(tmp_path: Path, postgres: PostgresServer) -> None:
    """Every search finds the same, every chat says the same, and citations open, on each backend and at home again."""
    with ExitStack() as stack:
        home, *others = [
            stack.enter_context(stack.enter_context(place(backend, tmp_path / str(number), postgres)).open())
            for number, backend in enumerate([*BACKENDS, BACKENDS[0]])
        ]
        _fill(home)
        expected = found(home)
        assert expected
        for number, workspace in enumerate(others):
            archive = tmp_path / f"{number}.zip"
            home.tenants.export("acme", archive)
            workspace.tenants.import_(archive)
            assert found(workspace) == expected, workspace
            home = workspace


def _fill(home: minirag.Workspace) -> None:
    """Give a tenant a bot with documents and a chat."""
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
