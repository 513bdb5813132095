"""Changing the master key and tenants' data keys: nothing is lost, nothing old opens anything, and a killed change goes on."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import minirag
from minirag.errors import InvalidInputError, SecretError, SecretKeyMismatchError, SecretKeyMissingError
from minirag.security.key_file import load_key_file
from tests.servers.postgres_server import PostgresServer

LLM = "openai:gpt-4o-mini"


def opened(workspace: minirag.Workspace, slug: str, bot: str = "support") -> dict[str, str]:
    """Return the bot's credentials in the clear."""
    session = workspace.tenant(slug)
    return dict(workspace._core.secrets.open(session._context.scope, session.bot(bot).id))


def filled(workspace: minirag.Workspace, tenants: int = 3) -> None:
    """Make tenants with two bots each, which hold a credential."""
    for number in range(tenants):
        session = workspace.tenant(f"t{number}", create=True)
        for name in ("support", "sales"):
            session.bot(name, create=True, llm=LLM, credentials={"api_key": f"key {number} {name}"})


def rows(folder: Path, query: str) -> list[tuple[str, ...]]:
    """Return what a query finds in the folder's database."""
    connection = sqlite3.connect(folder / "minirag.sqlite3")
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_a_new_master_key_opens_everything_and_the_old_one_nothing(tmp_path: Path) -> None:
    """Each data key is wrapped anew; a copy of the old key file does not open the workspace any more."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        filled(workspace)
        workspace.tenant("empty", create=True)
        (before,) = load_key_file(tmp_path / "kb" / "master.key")
        old = (tmp_path / "kb" / "master.key").read_text()
        done = workspace.rotate_master_key()
        assert (done.tenants, done.rewrapped, done.resumed) == (4, 3, False)
        assert done.former_key_ids == (before.id,)
        assert opened(workspace, "t1") == {"api_key": "key 1 support"}
        workspace.tenant("late", create=True).bot("support", create=True, llm=LLM, credentials={"api_key": "late"})
    assert {row[0] for row in rows(tmp_path / "kb", "SELECT master_key_id FROM tenant_keys")} == {done.key_id}
    assert [key.id for key in load_key_file(tmp_path / "kb" / "master.key")] == [done.key_id]
    assert (tmp_path / "kb" / "master.key").stat().st_mode & 0o077 == 0 or os.name != "posix"
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        assert [opened(workspace, f"t{n}", "sales")["api_key"] for n in range(3)] == [
            f"key {n} sales" for n in range(3)
        ]
        assert opened(workspace, "late") == {"api_key": "late"}
    (tmp_path / "kb" / "master.key").write_text(old)
    with pytest.raises(SecretKeyMismatchError, match="another master key"):
        minirag.Workspace.open(tmp_path / "kb", embedder="hashing")


def test_another_process_learns_of_the_new_key(tmp_path: Path) -> None:
    """One that was open before reads and writes credentials afterwards, of old tenants and new ones."""
    with (
        minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as first,
        minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as second,
    ):
        filled(first)
        done = first.rotate_master_key()
        second.tenant("new", create=True).bot("support", create=True, llm=LLM, credentials={"api_key": "new"})
        assert opened(second, "t0") == {"api_key": "key 0 support"}
        second.tenant("t0").bot("support").update(credentials={"api_key": "changed"})
        assert opened(first, "t0") == {"api_key": "changed"}
        assert opened(first, "new") == {"api_key": "new"}
    assert {row[0] for row in rows(tmp_path / "kb", "SELECT master_key_id FROM tenant_keys")} == {done.key_id}


def test_a_tenants_data_key_changes(tmp_path: Path) -> None:
    """Its credentials are sealed anew, other tenants' are not touched, and the old data key is gone."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        filled(workspace)
        sealed = "SELECT tenant_id, bot_id, ciphertext FROM secrets ORDER BY 1, 2"
        before, keys = rows(tmp_path / "kb", sealed), rows(tmp_path / "kb", "SELECT id FROM tenant_keys")
        done = workspace.tenants.rotate_key("t1")
        assert (done.tenants, done.rewrapped, done.resumed) == (1, 2, False)
        after, tenant_id = rows(tmp_path / "kb", sealed), workspace.tenants.get("t1").id
        assert {row[:2] for row in set(after) - set(before)} == {row[:2] for row in after if row[0] == tenant_id}
        now = {row[0] for row in rows(tmp_path / "kb", "SELECT id FROM tenant_keys")}
        assert now == {row[0] for row in keys} - set(done.former_key_ids) | {done.key_id}
        assert opened(workspace, "t1", "sales") == {"api_key": "key 1 sales"}


def test_a_tenant_without_credentials_gets_no_key(tmp_path: Path) -> None:
    """There is nothing to change, and nothing is made."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        workspace.tenant("empty", create=True)
        assert workspace.tenants.rotate_key("empty").key_id is None
    assert rows(tmp_path / "kb", "SELECT id FROM tenant_keys") == []


def test_one_at_a_database_url_is_opened_with_both_keys(tmp_path: Path, postgres: PostgresServer) -> None:
    """Until the change, new data keys are wrapped by the old key, so that processes which know only that one go on."""
    url, old, new = postgres.new_database(), minirag.generate_secret_key(), minirag.generate_secret_key()
    settings = {"embedder": "hashing", "cache_dir": tmp_path}
    with minirag.Workspace.open(url, secret_key=old, **settings) as workspace:
        filled(workspace, 2)
        with pytest.raises(InvalidInputError, match=r"secret_key=\[new, old\]"):
            workspace.rotate_master_key()
        with minirag.Workspace.open(url, secret_key=[new, old], **settings) as other:
            other.tenant("between", create=True).bot("support", create=True, llm=LLM, credentials={"api_key": "b"})
            assert opened(workspace, "between") == {"api_key": "b"}
            assert other.rotate_master_key().rewrapped == 3
            assert opened(other, "t1", "sales") == {"api_key": "key 1 sales"}
        with pytest.raises(SecretKeyMismatchError, match="with the new one"):
            opened(workspace, "t0")
        with pytest.raises(SecretKeyMismatchError, match="with the new one"):
            workspace.tenant("late", create=True).bot("support", create=True, llm=LLM, credentials={"api_key": "late"})
    with minirag.Workspace.open(url, secret_key=new, **settings) as workspace:
        assert opened(workspace, "t0") == {"api_key": "key 0 support"}
    with pytest.raises(SecretKeyMismatchError, match="another master key"):
        minirag.Workspace.open(url, secret_key=old, **settings)


def test_what_cannot_be_changed_says_so(tmp_path: Path, postgres: PostgresServer) -> None:
    """Without a master key, with a list that holds none, with damage in the file."""
    refused = pytest.raises(SecretKeyMissingError, match="no master key to change")
    with minirag.Workspace.open(postgres.new_database(), embedder="hashing", cache_dir=tmp_path) as keyless, refused:
        keyless.rotate_master_key()
    for wrong in ([], [None], [b"x", 5], {"key": "x"}):
        with pytest.raises(InvalidInputError, match="list of them"):
            minirag.Workspace.open(tmp_path / "kb", secret_key=wrong)
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        filled(workspace, 1)
        file = tmp_path / "kb" / "master.key"
        file.write_text(file.read_text() + "torn")
        with pytest.raises(SecretError, match="malformed"):
            workspace.rotate_master_key()
        assert opened(workspace, "t0") == {"api_key": "key 0 support"}


@pytest.mark.parametrize("stolen", ["secret", "key", "both", "bot"])
def test_rows_of_another_tenant_open_nothing(tmp_path: Path, stolen: str) -> None:
    """Ciphertexts, wrapped keys or both, copied from one tenant or bot to another by whoever can write the database."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        filled(workspace, 2)
        mine, theirs = (workspace.tenants.get(f"t{n}").id for n in range(2))
        connection = sqlite3.connect(tmp_path / "kb" / "minirag.sqlite3")
        if stolen in ("key", "both"):
            connection.execute(
                "UPDATE tenant_keys SET (id, wrapped) = (SELECT id, wrapped FROM tenant_keys WHERE tenant_id = ?) "
                "WHERE tenant_id = ?",
                (theirs, mine),
            )
        if stolen in ("secret", "both"):
            connection.execute(
                "UPDATE secrets SET ciphertext = (SELECT ciphertext FROM secrets WHERE tenant_id = ? LIMIT 1) "
                "WHERE tenant_id = ?",
                (theirs, mine),
            )
        if stolen == "bot":
            connection.execute(
                "UPDATE secrets SET ciphertext = (SELECT ciphertext FROM secrets AS other WHERE other.tenant_id = "
                "secrets.tenant_id AND other.bot_id <> secrets.bot_id) WHERE tenant_id = ?",
                (mine,),
            )
        connection.commit()
        connection.close()
        with pytest.raises(SecretError):
            opened(workspace, "t0")
        assert opened(workspace, "t1") == {"api_key": "key 1 support"}


WORKER = """
    import sys, time
    from pathlib import Path
    import minirag
    folder, number, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with minirag.Workspace.open(folder, embedder="hashing") as workspace:
        print("open", flush=True)
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end or count < 3:
            name = f"w{number}-{count}"
            bot = workspace.tenant(name, create=True).bot(
                "support", create=True, llm="openai:gpt-4o-mini", credentials={"api_key": name}
            )
            for slug in (name, "t0", f"w{number}-0"):
                session = workspace.tenant(slug)
                found = workspace._core.secrets.open(session._context.scope, session.bot("support").id)
                assert found["api_key"] == ("key 0 support" if slug == "t0" else slug), slug
            count += 1
        print(count)
"""

ROTATE = """
    import sys
    import minirag
    with minirag.Workspace.open(sys.argv[1], embedder="hashing") as workspace:
        print("open", flush=True)
        for _ in range(int(sys.argv[2])):
            workspace.rotate_master_key()
            workspace.tenants.rotate_key("t0")
        print("done")
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a process and wait until it has opened the workspace."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n", process.communicate()[1]
    return process


def test_under_four_processes_nothing_is_lost(tmp_path: Path) -> None:
    """They make tenants with credentials and read others', while both kinds of key change again and again."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        filled(workspace, 1)
        workers = [start(WORKER, tmp_path / "kb", number, 3) for number in range(4)]
        changes = 0
        while any(worker.poll() is None for worker in workers):
            workspace.rotate_master_key()
            workspace.tenants.rotate_key("t0")
            changes += 1
        for worker in workers:
            out, err = worker.communicate()
            assert worker.returncode == 0, err
            assert int(out) >= 3
        assert changes > 1
        for tenant in workspace.tenants.list():
            expected = "key 0 support" if tenant.slug == "t0" else tenant.slug
            assert opened(workspace, tenant.slug) == {"api_key": expected}
    assert len({row[0] for row in rows(tmp_path / "kb", "SELECT master_key_id FROM tenant_keys")}) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_change_goes_on(tmp_path: Path, seed: int) -> None:
    """After SIGKILL at a random moment everything opens, at once and after the change was finished."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        filled(workspace, 20)
    process = start(ROTATE, tmp_path / "kb", 1_000)
    time.sleep(random.Random(seed).uniform(0.02, 0.5))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    everything = [(f"t{n}", bot, f"key {n} {bot}") for n in range(20) for bot in ("support", "sales")]
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        assert [(slug, bot, opened(workspace, slug, bot)["api_key"]) for slug, bot, _ in everything] == everything
        workspace.rotate_master_key()
        workspace.tenants.rotate_key("t0")
        assert [(slug, bot, opened(workspace, slug, bot)["api_key"]) for slug, bot, _ in everything] == everything
    assert len(load_key_file(tmp_path / "kb" / "master.key")) == 1
    assert len(rows(tmp_path / "kb", "SELECT id FROM tenant_keys")) == 20


STEPS = ("directory", "file", "tenant", "forgotten")


@pytest.mark.parametrize("step", STEPS)
def test_a_change_that_fails_at_any_step_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Between the two everything opens, and the second call makes no third key."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        filled(workspace)
        break_at(step, workspace, monkeypatch)
        with pytest.raises(RuntimeError, match="struck"):
            workspace.rotate_master_key()
        monkeypatch.undo()
        assert opened(workspace, "t2") == {"api_key": "key 2 support"}
        with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as other:
            assert [opened(other, f"t{n}")["api_key"] for n in range(3)] == [f"key {n} support" for n in range(3)]
        begun = [key.id for key in load_key_file(tmp_path / "kb" / "master.key")]
        done = workspace.rotate_master_key()
        assert done.resumed == (len(begun) == 2)
        assert done.key_id == begun[0] or not done.resumed
        assert [opened(workspace, f"t{n}")["api_key"] for n in range(3)] == [f"key {n} support" for n in range(3)]
    assert [key.id for key in load_key_file(tmp_path / "kb" / "master.key")] == [done.key_id]


def break_at(step: str, workspace: minirag.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the change fail at a step."""

    def strike(*_: object, **__: object) -> None:
        raise RuntimeError("struck")

    import minirag._services.rotation as rotation

    if step == "directory":
        monkeypatch.setattr(rotation, "load_key_file", strike)
    elif step == "file":
        from minirag.providers.sqlalchemy.directory import SqlAlchemyDirectory

        monkeypatch.setattr(SqlAlchemyDirectory, "put_setting", strike)
    elif step == "tenant":
        after(2, workspace.__dict__["_core"].secrets.vault, "rewrap", monkeypatch, strike)
    else:
        after(1, rotation, "replace_key_file", monkeypatch, strike)


def after(calls: int, owner: object, name: str, monkeypatch: pytest.MonkeyPatch, strike: Callable[..., None]) -> None:
    """Let so many calls of a function through before it fails."""
    real, left = getattr(owner, name), iter(range(calls))

    def call(*arguments: object, **keywords: object) -> object:
        return real(*arguments, **keywords) if next(left, None) is not None else strike()

    monkeypatch.setattr(owner, name, call)


def test_one_made_of_parts_is_told_to_give_both_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no folder, so no file that happens to lie where one might be is touched."""
    monkeypatch.chdir(tmp_path)
    Path("(parts)").mkdir()
    Path("(parts)", "master.key").write_text(minirag.generate_secret_key())
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
        core, key = workspace._core, minirag.generate_secret_key()
        parts = minirag.Workspace(
            storage=core.storage, index=core.partitions.vectors, embedder="hashing", secret_key=key
        )
        before = Path("(parts)", "master.key").read_text()
        with pytest.raises(InvalidInputError, match=r"secret_key=\[new, old\]"):
            parts.rotate_master_key()
        assert Path("(parts)", "master.key").read_text() == before
        parts.close()
