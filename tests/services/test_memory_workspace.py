"""A workspace in memory is a whole one, which leaves nothing on the disk and is gone when it is closed."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import ConfigurationError, InvalidInputError, TenantNotFoundError, WorkspaceClosedError
from minirag.interfaces.vector_index import VectorIndex
from minirag.testing.vector_index import VectorIndexConformance
from minirag.workspace import Workspace
from tests.load.worker import text_of

TEXTS = ("The red kettle boils water in two minutes.", "The bridge is closed on Mondays.")


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace.open(":memory:", embedder="hashing", plugins=[]) as opened:
        yield opened


def filled(workspace: Workspace, **settings: Any) -> minirag.bot.Bot:
    bot = workspace.tenant("acme", create=True).bot("support", create=True, **settings)
    bot.add(minirag.DocumentInput(text=text, key=f"{number}") for number, text in enumerate(TEXTS))
    return bot


class TestIndexOfAMemoryWorkspace(VectorIndexConformance):
    """The index that such a workspace has, asked where it lies."""

    size = 120
    programmes = 6
    generations = 30

    @pytest.fixture(autouse=True)
    def _opened(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def make_index(self) -> VectorIndex:
        return self.workspace._core.partitions.vectors


PROGRAM = """
import os, sys
written = []

def hook(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(str(arguments[0]))
    elif event in ("os.mkdir", "os.rename", "os.link", "tempfile.mkstemp", "tempfile.mkdtemp", "socket.bind"):
        written.append(event)
    elif event == "sqlite3.connect" and "vfs=memdb" not in arguments[0]:
        written.append(str(arguments[0]))

import minirag
sys.addaudithook(hook)
with minirag.Workspace.open(":memory:", plugins=[]) as workspace:
    bot = workspace.tenant("acme", create=True).bot("support", create=True, credentials={"api_key": "secret"})
    bot.add(
        (minirag.DocumentInput(text=f"Kettle {n} boils water in {n} minutes.", key=str(n)) for n in range(12)),
        progress=False,
    )
    bot.documents.remove("3")
    bot.optimize()
    assert bot.search("kettle", k=5)
    chat = bot.chat()
    assert not chat.send("How long does kettle 7 boil water?").abstained
    assert workspace.verify(progress=False).ok
    assert workspace.repair(progress=False)
print(written)
"""


def test_nothing_is_on_the_disk(tmp_path: Path) -> None:
    """A process that fills, searches, asks, checks and closes opens no file for writing, and leaves none anywhere it could."""
    places = {name: tmp_path / name for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "work")}
    for folder in places.values():
        folder.mkdir()
    environment = {
        **os.environ,
        **{name: str(folder) for name, folder in places.items()},
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    root = Path(minirag.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environment, "PYTHONPATH": str(root)},
        cwd=places["work"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stdout + done.stderr
    assert [path for path in tmp_path.rglob("*") if path not in places.values()] == []


@pytest.mark.parametrize("location", [":memory:", Path(":memory:"), "sqlite://", "sqlite:///:memory:"])
def test_each_opening_is_another_workspace(
    location: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each of its names it is new and empty, knows nothing of another one, and is gone at `close`."""
    monkeypatch.chdir(tmp_path)
    with Workspace.open(location, embedder="hashing", plugins=[]) as one:
        assert one.location == ":memory:"
        bot = filled(one)
        with Workspace.open(location, embedder="hashing", plugins=[]) as other:
            assert other.tenants.list() == []
        assert len(bot.search("kettle")) == len(TEXTS)
    with pytest.raises(WorkspaceClosedError):
        bot.search("kettle")
    with Workspace.open(location, embedder="hashing", plugins=[]) as again, pytest.raises(TenantNotFoundError):
        again.tenant("acme")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"read_only": True}, "read_only=True with ':memory:'"),
        ({"durability": "full"}, "memory survives nothing"),
        ({"cache_dir": "cache"}, "leaves no files"),
    ],
)
def test_what_needs_a_place_that_lasts_is_refused(settings: dict[str, Any], words: str) -> None:
    """Each argument that memory cannot keep is named."""
    with pytest.raises(InvalidInputError, match=words):
        Workspace.open(":memory:", **settings)


def test_a_configuration_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping, a TOML file and the environment do; in a file it is no path beside it."""
    (tmp_path / "minirag.toml").write_text('location = ":memory:"\nembedder = "hashing"\n')
    monkeypatch.setenv("MINIRAG_WORKSPACE", ":memory:")
    for opened in (
        Workspace.from_config({"location": ":memory:"}),
        Workspace.from_config(tmp_path / "minirag.toml"),
        Workspace.from_env(),
    ):
        with opened:
            assert opened.location == ":memory:"
    assert [path.name for path in tmp_path.iterdir()] == ["minirag.toml"]


@pytest.mark.parametrize("with_key", [True, False])
def test_a_backup_of_it_is_a_folder(workspace: Workspace, tmp_path: Path, with_key: bool) -> None:
    """The folder opens like any other; with the key, credentials can be read there too."""
    bot = filled(workspace, credentials={"api_key": "very secret"})
    report = workspace.backup(tmp_path / "copy", include_key=with_key)
    assert report.key == ("copied" if with_key else "left out")
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "copy").iterdir()}
    assert files == dict.fromkeys(["minirag.sqlite3", *(["master.key"] if with_key else [])], 0o600)
    filled(workspace)
    with Workspace.open(tmp_path / "copy", embedder="hashing", plugins=[]) as copy:
        same = copy.tenant("acme").bot("support")
        assert [(hit.key, hit.score) for hit in same.search("kettle")] == [
            (hit.key, hit.score) for hit in bot.search("kettle")
        ]
        assert copy.verify(progress=False).ok
        if with_key:
            found = copy._core.secrets.open(same._context.scope, same.id)
            assert found == {"api_key": "very secret"}


def test_a_key_that_was_given_is_not_written(tmp_path: Path) -> None:
    """Whoever gave the key has it; the backup opens with it."""
    key = minirag.generate_secret_key()
    with Workspace.open(":memory:", embedder="hashing", plugins=[], secret_key=key) as workspace:
        filled(workspace, credentials={"api_key": "very secret"})
        assert workspace.backup(tmp_path / "copy", include_key=True).key == "given"
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["minirag.sqlite3"]
    with Workspace.open(tmp_path / "copy", embedder="hashing", plugins=[], secret_key=key) as copy:
        assert copy.verify(progress=False).ok


async def _asked() -> str:
    async with minirag.AsyncWorkspace.open(":memory:", embedder="hashing", plugins=[]) as workspace:
        tenant = await workspace.tenant("acme", create=True)
        bot = await tenant.bot("support", create=True)
        await bot.add(minirag.DocumentInput(text=TEXTS[0], key="0"))
        return (await bot.ask("How fast does the kettle boil water?")).text


def test_the_asynchronous_face_has_it_too() -> None:
    """Steps in the thread pool and on the loop see one and the same memory."""
    import asyncio

    assert "two minutes" in asyncio.run(_asked())


def test_the_command_line_refuses_it() -> None:
    """What a command would make ends with it; the message says to give a folder."""
    import argparse

    from minirag.cli.places import open_workspace

    for named in (":memory:", "sqlite://"):
        options = argparse.Namespace(workspace=named, allow_url=[])
        with pytest.raises(ConfigurationError, match="would end with this command; give --workspace FOLDER"):
            open_workspace(options, create=True).__enter__()


def test_threads_search_while_others_write(workspace: Workspace, request: pytest.FixtureRequest) -> None:
    """Six threads search while two add, replace and remove: no error, nothing locked, no text that was gone before."""
    seconds = float(request.config.getoption("seconds")) / 2
    bot = workspace.tenant("acme", create=True).bot("support", create=True, chunker="whole", language="en")
    chance = random.Random(int(request.config.getoption("seed")))
    bot.add(minirag.DocumentInput(text=text_of(f"fixed{n}", chance), key=f"fixed-{n}") for n in range(60))
    stop, failures, counts = threading.Event(), [], [0] * 8

    def search(number: int) -> None:
        fixed = random.Random(number + counts[number]).randrange(60)
        assert len(bot.search("anchor basin ocean", k=20)) == 20
        assert [hit.key for hit in bot.search(f"fixed{fixed}", k=3, mode="keyword")] == [f"fixed-{fixed}"]

    def write(number: int) -> None:
        mark = f"mark{number}x{counts[number]}"
        own = random.Random(mark)
        bot.add(minirag.DocumentInput(text=text_of(mark, own), key=f"moving-{number}"), progress=False)
        assert [hit.key for hit in bot.search(mark, k=3, mode="keyword")] == [f"moving-{number}"]
        if counts[number] % 3 == 2:
            bot.documents.remove(f"moving-{number}")
            assert not bot.search(mark, k=3, mode="keyword")

    def work(number: int) -> None:
        try:
            while not stop.is_set():
                (search if number < 6 else write)(number)
                counts[number] += 1
        except BaseException as problem:
            failures.append(problem)
            stop.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    while not stop.wait(0.05) and (time.monotonic() < end or (min(counts) == 0 and time.monotonic() < end + 20)):
        pass
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    print(f"{sum(counts[:6])} rounds of searches and {sum(counts[6:])} of writes in {seconds:g} s")
    if failures:
        raise failures[0]
    assert min(counts) > 0, counts
    assert workspace.verify(progress=False).ok
