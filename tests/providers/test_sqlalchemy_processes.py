"""Several processes on one SQLite file: opening together, seeing each other's writes, being killed, forking, only reading."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from minirag.errors import StorageBusyError
from minirag.interfaces.storage import Storage
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage_world import Customer, StorageWorld

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process and return it; its output can be read line by line."""
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)


def new_world(folder: Path) -> StorageWorld:
    def make(*, read_only: bool = False) -> Storage:
        return SqlAlchemyStorage(folder, read_only=read_only)

    return StorageWorld(make)


def fingerprints(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


OPEN = """
import sys
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
print("ready", flush=True)
sys.stdin.readline()
storage = SqlAlchemyStorage(sys.argv[1])
print(storage.workspace_id)
storage.close()
"""


def test_processes_open_a_new_folder_together(tmp_path: Path) -> None:
    """Processes that open a new folder at the same moment all succeed, and agree on the workspace's id."""
    processes = [start(OPEN, tmp_path / "kb") for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 3
    assert len(set(printed)) == 1


WRITE = """
import pickle, sys
from minirag.interfaces.scope import mint_scope
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage_world import Customer, StorageWorld, draft
storage = SqlAlchemyStorage(sys.argv[1])
tenant, bot, source = sys.argv[2:5]
scope = mint_scope(tenant)
with storage.read(scope) as reader:
    record, its_source = reader.bot_by_id(bot), reader.source(bot, source)
customer = Customer(None, scope, record, its_source, None, None, None, None)
for number in range(int(sys.argv[5])):
    with storage.write(scope) as writer:
        drafts = [draft(customer, f"{number}/{part}", f"Number {number}, part {part}. " * 30) for part in range(5)]
        writer.write_versions(bot, drafts, space=record.space.fingerprint, keep_versions=None)
    print(number, flush=True)
storage.close()
"""


def start_writer(folder: Path, customer: Customer, count: int) -> subprocess.Popen[str]:
    return start(WRITE, folder, customer.tenant.id, customer.bot.id, customer.source.id, count)


def test_another_process_is_seen(tmp_path: Path) -> None:
    """What another process committed is seen by the next read of a storage that was open all the time."""
    world = new_world(tmp_path / "kb")
    output, _ = start_writer(tmp_path / "kb", world.acme, 3).communicate(timeout=60)
    with world.storage.read(world.acme.scope) as reader:
        assert reader.count_documents(world.acme.bot.id) == 1 + 5 * len(output.split())
        assert reader.position(world.acme.bot.id).sequence == 16
    world.close()


@pytest.mark.parametrize("round_number", range(5))
def test_a_killed_process_loses_nothing_acknowledged(tmp_path: Path, round_number: int) -> None:
    """After SIGKILL every acknowledged transaction is there, whole, and no half of another."""
    world = new_world(tmp_path / "kb")
    acme = world.acme
    world.storage.close()
    process = start_writer(tmp_path / "kb", acme, 10_000)
    assert process.stdout is not None
    for _ in range(random.Random(round_number).randrange(3, 40)):
        acknowledged = int(process.stdout.readline())
    process.kill()
    process.communicate()
    with (storage := world.open()).read(acme.scope) as reader:
        documents = reader.documents(acme.bot.id, limit=100_000)
        keys = {document.key for document in documents}
        assert len(documents) % 5 == 1
        assert keys >= {f"{number}/{part}" for number in range(acknowledged + 1) for part in range(5)}
        assert reader.position(acme.bot.id).sequence == len(reader.log(acme.bot.id, after=0, limit=100_000))
        assert reader.position(acme.bot.id).sequence == len(documents) == reader.stats(acme.bot.id).documents
        texts = [text for batch in reader.index_texts(acme.bot.id) for text in batch]
        assert len(texts) == sum(document.chunks for document in documents) == len(world.keys(acme, storage))
    world.close()


FORK = """
import os, sys
from minirag.errors import ForkedWorkspaceError
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
storage = SqlAlchemyStorage(sys.argv[1])
if os.fork() == 0:
    try:
        with storage.directory():
            print("no error", flush=True)
    except ForkedWorkspaceError as problem:
        print(problem, flush=True)
    storage.close()
    own = SqlAlchemyStorage(sys.argv[1])
    with own.directory(write=True) as directory:
        directory.put_setting("child", "wrote")
    own.close()
    os._exit(0)
os.wait()
with storage.directory() as directory:
    print(directory.setting("child"))
storage.close()
"""


def test_a_fork_must_open_anew(tmp_path: Path) -> None:
    """In a forked process the storage says so, and does not disturb the parent's; a new one works."""
    output, _ = start(FORK, tmp_path / "kb").communicate(timeout=60)
    assert output.splitlines() == [
        "the workspace was opened before a fork; open the workspace again in this process",
        "wrote",
    ]


FORK_INSIDE = """
import os, sys
from minirag.errors import ForkedWorkspaceError
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
storage = SqlAlchemyStorage(sys.argv[1])
child = None
try:
    with storage.directory(write=True) as directory:
        directory.put_setting("by", "parent")
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            raise RuntimeError
except ForkedWorkspaceError as problem:
    print(type(problem).__name__, flush=True)
    os._exit(0)
except RuntimeError:
    pass
with storage.directory() as directory:
    print(directory.setting("by"))
storage.close()
"""


def test_a_forked_process_does_not_end_its_parents_transaction(tmp_path: Path) -> None:
    """A child that leaves a transaction block it was forked in neither commits nor rolls back."""
    output, _ = start(FORK_INSIDE, tmp_path / "kb").communicate(timeout=60)
    assert output.split() == ["ForkedWorkspaceError", "None"]


# ---------------------------------------------------------------- only reading
def test_reading_only_writes_nothing(tmp_path: Path) -> None:
    """Opened read-only with no writer about, not one byte of the folder changes, and no file comes or goes."""
    folder = tmp_path / "kb"
    world = new_world(folder)
    world.close()
    before = fingerprints(folder)
    storage = world.open(read_only=True)
    assert len(world.keys(world.acme, storage)) > 0
    during = fingerprints(folder)
    storage.close()
    assert before == during == fingerprints(folder)


def test_reading_only_beside_a_writer(tmp_path: Path) -> None:
    """A read-only storage opened beside a writer sees each of its commits."""
    world = new_world(tmp_path / "kb")
    storage = world.open(read_only=True)
    for number in range(3):
        world.write(world.acme, f"later {number}", "Written beside a reader.")
        with storage.read(world.acme.scope) as reader:
            assert reader.count_documents(world.acme.bot.id) == 2 + number
    world.close()


def test_reading_only_notices_a_writer_that_comes_later(tmp_path: Path) -> None:
    """A read-only storage that was opened alone sees what a writer commits afterwards, open or closed again."""
    world = new_world(tmp_path / "kb")
    world.close()
    storage = world.open(read_only=True)
    with storage.read(world.acme.scope) as reader:
        assert reader.count_documents(world.acme.bot.id) == 1
    for number in range(2):
        world.storage = world.open()
        world.write(world.acme, f"{number} open", "The writer is open.")
        if number == 0:
            world.storage.close()
        with storage.read(world.acme.scope) as reader:
            assert reader.count_documents(world.acme.bot.id) == 2 + number
    world.close()


def test_reading_only_tells_when_it_was_overtaken(tmp_path: Path) -> None:
    """If a writer comes and goes during a read without locks, the read ends in an error that asks to try again."""
    world = new_world(tmp_path / "kb")
    world.close()
    storage = world.open(read_only=True)
    overtaken = storage.read(world.acme.scope)
    overtaken.__enter__()
    world.storage = world.open()
    world.write(world.acme, "meanwhile", "Written under a reader without locks.")
    world.storage.close()
    with pytest.raises(StorageBusyError, match="try again"):
        overtaken.__exit__(None, None, None)
    with storage.read(world.acme.scope) as reader:
        assert reader.count_documents(world.acme.bot.id) == 2
    world.close()
