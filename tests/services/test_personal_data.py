"""A person's data in one file: all that is theirs, nothing of others, no secret, and readable by its owner alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import AccessDeniedError, ConflictError, InvalidInputError, UserNotFoundError
from tests.services.signing import OWNER, PASSWORD, open_workspace

BEN = "ben@example.com"


@pytest.fixture
def tenant(tmp_path: Path) -> Any:
    """A tenant in which its owner and Ben each have a chat and a token."""
    with open_workspace(tmp_path / "kb") as workspace:
        workspace.tenants.bootstrap("acme", "Acme", OWNER, PASSWORD)
        session = workspace.tenant("acme")
        session.users.create(BEN, PASSWORD, "admin")
        bot = session.bot("support", create=True)
        bot.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="returns"))
        for email in (OWNER, BEN):
            person = workspace.login("acme", email, PASSWORD)
            person.bot("support").chat().send(f"Within how many days may a laptop be returned? {email}")
        bens = session.tokens.create(BEN, name="script", scope="admin")
        workspace.authenticate(bens.token).bots.create("bens")
        yield session, bens


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_all_that_is_theirs_is_there(tenant: Any, tmp_path: Path) -> None:
    """The person, their tokens, chats with both sides' messages and citations, and what was done on their behalf."""
    session, bens = tenant
    path = tmp_path / "ben.jsonl"
    report = session.users.export(BEN, path)
    lines = lines_of(path)
    assert [next(iter(line)) for line in lines] == ["user", "token", "chat", "message", "message", "event", "event"]
    user, token, chat, question, answer, event, login = (next(iter(line.values())) for line in lines)
    assert (user["email"], user["role"]) == (BEN, "admin")
    assert (token["id"], token["name"]) == (bens.id, "script")
    assert chat["user_id"] == user["id"]
    assert question["text"] == f"Within how many days may a laptop be returned? {BEN}"
    assert answer["citations"][0]["key"] == "returns"
    assert (event["action"], event["actor"]) == ("bot.created", f"user:{user['id']}/token:{bens.id}")
    assert (login["action"], login["actor"]) == ("login.succeeded", f"user:{user['id']}")
    assert report.counts == {"user": 1, "token": 1, "chat": 1, "message": 2, "event": 2}
    assert (report.path, report.size, report.user_id) == (str(path), path.stat().st_size, user["id"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    newest = next(session.audit.events())
    assert (newest.action, newest.subject) == ("user.exported", user["id"])


def test_nothing_of_others_and_no_secret_is_there(tenant: Any, tmp_path: Path) -> None:
    """The file holds no other person, no password's hash, no token and no token's hash."""
    session, bens = tenant
    path = tmp_path / "ben.jsonl"
    session.users.export(BEN, path)
    text = path.read_text(encoding="utf-8")
    owner = session.users.get(OWNER)
    for word in (OWNER, owner.id, "argon2", "password", "hash", bens.token, bens.token.rsplit("_", 1)[1]):
        assert word not in text


def test_many_chats_and_events_are_all_there(tenant: Any, tmp_path: Path) -> None:
    """More chats and events than are read at once come whole, each once."""
    session, _ = tenant
    context = session._context
    from minirag._services.audit import record
    from minirag.models.chats import ChatRecord
    from minirag.models.principals import Principal
    from minirag.types import new_id, utc_now

    ben, bot = session.users.get(BEN), session.bot("support")
    with context.core.storage.write(context.scope) as writer:
        for _ in range(1_100):
            now = utc_now()
            writer.put_chat(
                ChatRecord(id=new_id(), bot_id=bot.id, user_id=ben.id, title="", created_at=now, updated_at=now)
            )
        record(writer, Principal(kind="user", user_id=ben.id), "document.removed", *map(str, range(1_100)))
    report = session.users.export(BEN, tmp_path / "ben.jsonl")
    ids = [line["chat"]["id"] for line in lines_of(tmp_path / "ben.jsonl") if "chat" in line]
    assert (len(ids), len(set(ids))) == (1_101, 1_101)
    assert report.counts["event"] == 1_102


def test_what_is_refused_leaves_no_file(tenant: Any, tmp_path: Path) -> None:
    """A file that is there, a folder that is not, somebody unknown, and an admin who asks for an owner's data."""
    session, _ = tenant
    there = tmp_path / "there"
    there.write_text("kept", encoding="utf-8")
    with pytest.raises(ConflictError, match="exists already"):
        session.users.export(BEN, there)
    with pytest.raises(InvalidInputError, match="does not exist"):
        session.users.export(BEN, tmp_path / "no" / "such")
    with pytest.raises(UserNotFoundError):
        session.users.export("nobody@example.com", tmp_path / "new")
    bens_session = minirag.TenantSession(
        type(session._context)(
            session._context.core,
            session._context.scope,
            session.tenant,
            minirag.Principal(kind="user", user_id=session.users.get(BEN).id, role="admin"),
        ),
        session._defaults,
    )
    with pytest.raises(AccessDeniedError, match="owner"):
        bens_session.users.export(OWNER, tmp_path / "new")
    assert bens_session.users.export(BEN, tmp_path / "own").counts["user"] == 1
    assert there.read_text(encoding="utf-8") == "kept"
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*partial"))
