"""A late process of its own, with PostgreSQL and pgvector: it is waited for, and may be killed at the worst moment."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.providers.sqlalchemy import postgres_purging
from minirag.providers.sqlalchemy.erasing import SqlErasingReader
from tests.erasure.late import Gate, PgVectors, hold
from tests.erasure.test_postgres_erasing import in_files, plain
from tests.erasure.world import KEY, Seeded, canaries, canary_text, fill, open_bot, open_workspace
from tests.servers.postgres_server import PostgresServer


class Told(Gate):
    """A gate that tells another process that it is reached, and is opened by it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def stop(self) -> None:
        if not self.reached.is_set():
            self.reached.set()
            self._connection.send("reads")
            self._connection.recv()


def _late(url: str, folder: Path, key: str, connection: Connection) -> None:
    """Search: with rows read and not yet written, tell and wait; and so once more when they are written."""
    real = SqlErasingReader.check_open

    def check_open(self: Any) -> None:
        connection.send("has written")
        connection.recv()
        real(self)

    SqlErasingReader.check_open = check_open  # type: ignore[method-assign]
    place = PgVectors(url)
    index = place.index()
    hold(index, Told(connection), at="apply")
    with open_workspace(url, index=index, secret_key=key, cache_dir=folder) as opened:
        found = open_bot(opened).search("quokka", mode="dense")
        connection.send(sorted({hit.key for hit in found}))
    place.close()


@contextmanager
def late_process(url: str, folder: Path, key: str) -> Iterator[tuple[Any, Connection]]:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_late, args=(url, folder, key, theirs))
    process.start()
    try:
        yield process, mine
    finally:
        process.kill()
        process.join(60)


def heard(connection: Connection) -> Any:
    assert connection.poll(60)
    return connection.recv()


@pytest.mark.parametrize("dies", ["when it has written", "not at all"])
def test_the_receipt_waits(
    dies: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is pending while the other holds its view, and done when that has ended, however; then nothing is anywhere."""
    monkeypatch.setattr(postgres_purging, "_PATIENCE", 0.5)
    embedder, url, key = Seeded(), postgres.new_database(), minirag.generate_secret_key()
    place = PgVectors(url)
    with open_workspace(url, embedder, index=place.index(), secret_key=key, cache_dir=tmp_path / "a") as opened:
        bot = open_bot(opened)
        fill(bot, documents=5, chat=False)
        bot.search("parcel")
        bot.add(minirag.DocumentInput(text=canary_text(7), key=KEY), source="secrets", progress=False)
        needles = plain(canaries(embedder))
        with late_process(url, tmp_path / "b", key) as (process, connection):
            assert heard(connection) == "reads"
            receipt = bot.documents.remove(KEY, erase=True)
            assert receipt.status == "pending"
            assert "may still see the rows" in str(receipt.cause)
            assert place.erased(embedder) == 0
            connection.send("go on")
            assert heard(connection) == "has written"
            assert place.erased(embedder) > 0, "nothing came late"
            if dies == "not at all":
                connection.send("go on")
                assert KEY in heard(connection)
            else:
                process.kill()
            process.join(60)
            (receipt,) = opened.erasures.resume()
        assert (receipt.status, receipt.cause, receipt.verified) == ("done", None, True)
        assert place.erased(embedder) == 0
        assert in_files(postgres, url, needles) == []
        assert len(bot.search("parcel", k=500, mode="dense")) == bot.stats().chunks
    place.close()
