"""One workspace shared by threads, and one folder shared by processes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import InvalidInputError, ReadOnlyWorkspaceError

MODES = ("hybrid", "dense", "keyword")
SECONDS = 3.0
THREADS = 8


def run_child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python of its own on a piece of code."""
    root = str(Path(minirag.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin"},
    )


# ----------------------------------------------------------------------------------------------------------- threads
def test_threads_share_a_workspace_and_a_bot(tmp_path: Path) -> None:
    """Eight threads add, search, ask, list and remove at once: no error, and in the end exactly what should be there."""
    problems: list[BaseException] = []
    expected: list[dict[str, str]] = [{} for _ in range(THREADS)]
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="shared"))
        deadline = time.monotonic() + SECONDS

        def work(number: int) -> None:
            choose = random.Random(number)
            mine = expected[number]
            own = bot if number % 2 else workspace.tenant("acme").bot("support")
            step = 0
            try:
                while time.monotonic() < deadline:
                    step += 1
                    action = choose.choice(["add", "add", "remove", "search", "ask", "list", "chat"])
                    if action == "add":
                        keys = [f"{number}-{choose.randrange(40)}" for _ in range(3)]
                        batch = {key: f"Thread {number} wrote about topic {key} at step {step}." for key in keys}
                        report = own.add([minirag.DocumentInput(text=text, key=key) for key, text in batch.items()])
                        assert report.ok, report
                        mine.update(batch)
                    elif action == "remove" and mine:
                        key = choose.choice(sorted(mine))
                        assert own.documents.remove(key) == 1
                        del mine[key]
                    elif action == "search":
                        hits = own.search(f"topic {number}", k=20, mode=choose.choice(MODES))
                        for hit in hits:
                            if hit.key.startswith(f"{number}-"):
                                assert mine[hit.key] == hit.text
                        assert len({hit.key for hit in hits}) == len(hits)
                    elif action == "ask":
                        answer = own.ask("How long may I return a laptop?")
                        assert all(citation.verify() for citation in answer.citations)
                    elif action == "list":
                        assert "shared" in {document.key for document in own.documents.list()}
                    elif action == "chat" and step % 5 == 0:
                        assert own.chat().send("How long may I return a laptop?").chat_id
            except BaseException as problem:
                problems.append(problem)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        texts = {key: text for each in expected for key, text in each.items()}
        assert {document.key for document in bot.documents.list()} == {*texts, "shared"}
        for mode in ("dense", "hybrid"):
            hits = bot.search("topic thread", k=10_000, mode=mode)
            assert {hit.key: hit.text for hit in hits if hit.key != "shared"} == texts
    with minirag.Workspace.open(tmp_path) as again:
        hits = again.tenant("acme").bot("support").search("topic thread", k=10_000, mode="keyword")
        assert {hit.key: hit.text for hit in hits} == texts


def test_threads_create_the_same_tenant_and_bot_at_once(tmp_path: Path) -> None:
    """`create=True` from many threads makes one tenant and one bot, and everybody gets it."""
    ids: list[str] = []
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        gate = threading.Barrier(THREADS)

        def work() -> None:
            gate.wait()
            ids.append(workspace.tenant("acme", create=True).bot("support", create=True).id)

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == THREADS
        assert len(set(ids)) == 1


# ---------------------------------------------------------------------------------------------------------- pickling
@pytest.mark.parametrize("dump", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize(
    "name", ["Workspace", "TenantSession", "Bot", "AsyncWorkspace", "AsyncTenantSession", "AsyncBot"]
)
def test_live_objects_cannot_be_pickled_or_copied(tmp_path: Path, name: str, dump: Callable[[Any], Any]) -> None:
    """The error says why, and what to do in the other process."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        session = workspace.tenant("acme", create=True)
        bot = session.bot("support", create=True)
        made: dict[str, Any] = {
            "Workspace": workspace,
            "TenantSession": session,
            "Bot": bot,
            "AsyncWorkspace": minirag.AsyncWorkspace.open(tmp_path),
            "AsyncTenantSession": minirag.AsyncTenantSession(session, None),  # type: ignore[arg-type]  # needs no threads
            "AsyncBot": minirag.AsyncBot(bot, None),  # type: ignore[arg-type]  # as above
        }
        with pytest.raises(InvalidInputError, match=r"cannot be pickled.*open (it|the workspace) again"):
            dump(made[name])


def test_results_can_be_pickled(tmp_path: Path) -> None:
    """Answers, hits and reports are plain values; a citation that came through a pickle is opened by its bot."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        report = bot.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="note"))
        answer = bot.ask("How long may I return a laptop?")
        for thing in (report, bot.search("laptop"), answer.hits, bot.stats(), bot.profile):
            assert pickle.loads(pickle.dumps(thing)) == thing
        again = pickle.loads(pickle.dumps(answer))
        assert again == answer
        assert bot.open(again.citations[0]) == answer.citations[0].quote


# -------------------------------------------------------------------------------------------------------------- fork
@pytest.mark.skipif(sys.platform == "win32", reason="needs os.fork")
def test_use_after_fork_is_refused_and_the_parent_goes_on(tmp_path: Path) -> None:
    """In the child every call raises `ForkedWorkspaceError`, and closing there takes nothing from the parent."""
    code = """
    import os, sys, minirag
    from minirag.errors import ForkedWorkspaceError
    ws = minirag.Workspace.open(sys.argv[1], embedder="hashing")
    session = ws.tenant("acme", create=True)
    bot = session.bot("support", create=True)
    bot.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="note"))
    answer = bot.ask("How long may I return a laptop?")
    calls = [lambda: ws.tenant("acme"), ws.tenants.list, lambda: session.search("laptop"), lambda: bot.search("laptop"),
             lambda: bot.add(minirag.DocumentInput(text="x")), lambda: bot.ask("x"), lambda: list(bot.stream("x")),
             bot.stats, bot.sources.list, lambda: bot.documents.get("note"), answer.citations[0].verify, bot.chat]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for call in calls:
                try:
                    call()
                except ForkedWorkspaceError as problem:
                    assert "open it again" in str(problem) or "open the workspace again" in str(problem), problem
                else:
                    raise AssertionError(f"{call} worked in the child")
            ws.close()
            with minirag.Workspace.open(sys.argv[1]) as own:
                assert own.tenant("acme").bot("support").search("laptop")[0].key == "note"
            code = 0
        except BaseException as problem:
            print(repr(problem), file=sys.stderr)
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    bot.add(minirag.DocumentInput(text="A phone may be returned within ten days.", key="second"))
    assert len(bot.search("returned")) == 2
    ws.close()
    """
    child = run_child(code, str(tmp_path / "kb"))
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors


# --------------------------------------------------------------------------------------------------------- read-only
def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return bytes and time of every file."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }


def test_read_only_reads_and_writes_not_one_byte(tmp_path: Path) -> None:
    """Every reading method works, every writing one raises `ReadOnlyWorkspaceError`, and the folder stays as it is."""
    folder = tmp_path / "kb"
    file = tmp_path / "file.txt"
    file.write_text("A file about laptops.", encoding="utf-8")
    with minirag.Workspace.open(folder, embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="note"), file)
        chat_id = bot.chat().id
        bot.chat(chat_id).send("How long may I return a laptop?")
    before = files_of(folder)
    with minirag.Workspace.open(folder, read_only=True) as workspace:
        session = workspace.tenant("acme")
        bot = session.bot("support")
        answer = bot.ask("How long may I return a laptop?")
        assert answer.citations[0].verify()
        assert [event.type for event in bot.stream("How long may I return a laptop?")][-1] == "done"
        for mode in MODES:
            assert bot.search("laptop", mode=mode)[0].key in ("note", "file.txt")
        assert len(session.search("laptop")) == 2
        assert bot.documents.text("note").startswith("A laptop")
        assert bot.documents.count() == 2
        assert len(bot.documents.versions("note")) == 1
        assert len(bot.sources.list()) == 2
        assert bot.stats().documents == 2
        assert len(list(bot.chats.list())) == 1
        assert len(bot.chat(chat_id).messages) == 2
        assert bot.evaluate({"q": "laptop"}, {"q": {"note": 1}}).queries == 1
        assert session.usage.total().rows == ()
        assert session.bot("support", create=True).id == bot.id
        document = minirag.DocumentInput(text="More.")
        writing: list[Callable[[], object]] = [
            lambda: workspace.tenant("other", create=True),
            lambda: workspace.tenants.create("other"),
            lambda: workspace.tenants.update("acme", name="x"),
            lambda: workspace.tenants.delete("acme"),
            lambda: session.bot("other", create=True),
            lambda: session.bots.create("other"),
            lambda: session.bots.update("support", system_prompt="x"),
            lambda: session.bots.delete("support"),
            lambda: bot.update(system_prompt="x"),
            lambda: bot.add(document),
            lambda: bot.add(file),
            bot.ingest,
            bot.delete,
            lambda: bot.sources.add(text="x", name="x"),
            lambda: bot.sources.ingest("file.txt"),
            lambda: bot.sources.update("inline", name="x"),
            lambda: bot.sources.remove("inline"),
            lambda: bot.documents.remove("note"),
            bot.chat,
            lambda: bot.chat(chat_id).send("laptop?"),
            lambda: bot.chat(chat_id).delete(),
            lambda: bot.chats.delete(chat_id),
        ]
        for number, call in enumerate(writing):
            with pytest.raises(ReadOnlyWorkspaceError, match="read_only=True"):
                print(number, call())
        events = list(bot.chat(chat_id).stream("laptop?"))
        assert [event.type for event in events] == ["error"]
        assert isinstance(events[0].error, ReadOnlyWorkspaceError)
    assert files_of(folder) == before


# --------------------------------------------------------------------------------------------------------- processes
def open_and_add(folder: str, number: int, gate: Any, results: Any) -> None:
    """In a process of its own: wait for the others, open the folder, add a document."""
    try:
        gate.wait(30)
        with minirag.Workspace.open(folder, embedder="hashing") as workspace:
            bot = workspace.tenant("acme", create=True).bot("support", create=True, credentials={"api_key": "sk"})
            bot.add(minirag.DocumentInput(text=f"Process {number} was here.", key=f"process-{number}"))
        results.put(None)
    except BaseException as problem:
        results.put(repr(problem))


def test_processes_open_a_new_folder_at_once(tmp_path: Path) -> None:
    """Two processes racing to make one folder both succeed, agree on its key, and lose nothing; five rounds."""
    context = multiprocessing.get_context("spawn")
    rounds = [str(tmp_path / f"kb-{number}") for number in range(5)]
    results = context.Queue()
    gates = [context.Barrier(2) for _ in rounds]
    processes = [context.Process(target=race, args=(rounds, number, gates, results)) for number in range(2)]
    for process in processes:
        process.start()
    problems = [results.get(timeout=60) for _ in range(2 * len(rounds))]
    for process in processes:
        process.join()
    results.close()
    results.join_thread()
    assert problems == [None] * len(problems)
    for folder in rounds:
        with minirag.Workspace.open(folder) as workspace:
            keys = [hit.key for hit in workspace.tenant("acme").bot("support").search("process", k=10)]
            assert sorted(keys) == ["process-0", "process-1"]


def race(folders: list[str], number: int, gates: list[Any], results: Any) -> None:
    """In a process of its own: open each folder as the other process does too."""
    for folder, gate in zip(folders, gates, strict=True):
        open_and_add(folder, number, gate, results)


def test_a_second_process_is_seen_at_the_next_search(tmp_path: Path) -> None:
    """What another process adds, changes or removes is in, or out of, the very next search, in every mode."""
    folder = tmp_path / "kb"
    code = """
    import sys, minirag
    with minirag.Workspace.open(sys.argv[1]) as ws:
        bot = ws.tenant("acme").bot("support")
        print("ready", flush=True)
        for line in sys.stdin:
            action, _, text = line.strip().partition(" ")
            if action == "add":
                bot.add(minirag.DocumentInput(text=text, key="moving"))
            elif action == "remove":
                bot.documents.remove("moving")
            print([[hit.key for hit in bot.search("zebra stripes", k=5, mode=mode)] for mode in ("hybrid", "dense", "keyword")], flush=True)
    """
    with minirag.Workspace.open(folder, embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text="Horses eat grass.", key="fixed"))
        assert [len(bot.search("zebra stripes", mode=mode)) for mode in MODES] == [1, 1, 0]
        child = run_child(code, str(folder))
        assert child.stdin is not None
        assert child.stdout is not None

        def tell(line: str) -> str:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(line + "\n")
            child.stdin.flush()
            return child.stdout.readline()

        try:
            assert child.stdout.readline() == "ready\n"
            for round_ in range(3):
                tell(f"add A zebra has stripes, round {round_}.")
                for mode in MODES:
                    best = bot.search("zebra stripes", k=1, mode=mode)[0]
                    assert (best.key, best.text) == ("moving", f"A zebra has stripes, round {round_}.")
                tell("remove")
                for mode in MODES:
                    assert "moving" not in [hit.key for hit in bot.search("zebra stripes", k=5, mode=mode)]
            bot.add(minirag.DocumentInput(text="A zebra has stripes, says the first.", key="moving"))
            assert tell("look") == "[['moving', 'fixed'], ['moving', 'fixed'], ['moving']]\n"
            bot.documents.remove("moving")
            assert tell("look") == "[['fixed'], ['fixed'], []]\n"
        finally:
            _, errors = child.communicate(timeout=30)
        assert child.returncode == 0, errors
