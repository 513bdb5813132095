"""A process is killed while it imports a tenant: nobody sees one, and the next import deletes what was left."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

import minirag
from minirag.models.moving import MoveProgress

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def move(folder: Path, archive: Path, connection: Connection, steps: int) -> None:
    """Import, and wait to be killed after so many steps."""
    done = 0

    def step(progress: MoveProgress) -> None:
        nonlocal done
        done += progress.stage == "moving"
        if done >= steps:
            connection.send(done)
            time.sleep(600)

    with minirag.Workspace.open(folder, embedder="hashing") as workspace:
        workspace.tenants.import_(archive, progress=step)


def test_a_killed_import(tmp_path: Path) -> None:
    """The tenant is not there; the next import of the archive brings it whole and leaves nothing beside it."""
    with minirag.Workspace.open(tmp_path / "old", embedder="hashing") as old:
        bot = old.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text=f"Archive {n} holds {n * 7} boxes.", key=f"n{n}") for n in range(700))
        old.tenants.export("acme", tmp_path / "a", progress=False)
        best = [(hit.key, hit.score) for hit in bot.search("archive 700", k=10, exact=True)]
    minirag.Workspace.open(tmp_path / "new", embedder="hashing").close()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.worker", "minirag.workspace", "minirag.providers.sqlalchemy.storage"])
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=move, args=(tmp_path / "new", tmp_path / "a", sending, 2), daemon=True)
    process.start()
    sending.close()
    with receiving:
        assert receiving.poll(60)
        process.kill()
        process.join(60)
    assert process.exitcode == -signal.SIGKILL
    process.close()
    with minirag.Workspace.open(tmp_path / "new", embedder="hashing") as new:
        assert new.tenants.list() == []
        with new._core.storage.directory() as directory:
            (left,) = directory.tenants()
        assert new.verify(progress=False).faults == ()
        report = new.tenants.import_(tmp_path / "a", progress=False)
        assert report.counts["documents"] == 700
        with new._core.storage.directory() as directory:
            assert [tenant.id != left.id for tenant in directory.tenants()] == [True]
        bot = new.tenant("acme").bot("support")
        assert [(hit.key, hit.score) for hit in bot.search("archive 700", k=10, exact=True)] == best
