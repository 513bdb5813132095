"""The audit log: every action of a list is in it once, with who and what, and never with contents."""

from __future__ import annotations

from pathlib import Path

import pytest

import minirag
from minirag._services.audit import actor_of
from minirag.errors import BotNotFoundError, StorageError, TenantExistsError
from minirag.models.principals import APPLICATION, Principal
from tests.services.conftest import CountingEmbedder


def actions(session: minirag.TenantSession) -> list[tuple[str, str]]:
    """Return actions and subjects, oldest first."""
    return [(event.action, event.subject) for event in session.audit.events()][::-1]


def test_everything_done_is_there_in_order(workspace: minirag.Workspace, tmp_path: Path) -> None:
    """Each action leaves its event, in the order in which they were done, with the ids of what they were done to."""
    session = workspace.tenant("acme", create=True)
    tenant_id = session.tenant.id
    bot = session.bot("support", create=True, credentials={"api_key": "s3cret-value"})
    bot.update(system_prompt="Be kind.", credentials={"api_key": None, "other": "s3cret-2"})
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("The text of a file.", encoding="utf-8")
    (folder / "b.txt").write_text("The text of another.", encoding="utf-8")
    bot.add(folder, minirag.DocumentInput(text="A kettle boils.", key="note"))
    ids = {document.key: document.id for document in bot.documents.list()}
    sources = {source.kind: source.id for source in bot.sources.list()}
    bot.sources.update(sources["folder"], name="Texts")
    (folder / "a.txt").unlink()
    bot.add(folder)
    bot.documents.remove("note")
    bot.sources.remove(sources["folder"])
    bot.reembed("hashing", progress=False)
    workspace.tenants.update("acme", name="Acme")
    workspace.tenants.export("acme", tmp_path / "acme.minirag", progress=False)
    bot.delete()
    assert actions(session) == [
        ("tenant.created", tenant_id), ("bot.created", bot.id), ("credential.set", f"{bot.id}/api_key"),
        ("bot.updated", bot.id), ("credential.set", f"{bot.id}/other"), ("credential.removed", f"{bot.id}/api_key"),
        ("source.added", sources["folder"]), ("documents.added", bot.id), ("source.added", sources["text"]),
        ("source.updated", sources["folder"]), ("document.removed", ids["a.txt"]), ("document.removed", ids["note"]),
        ("source.removed", sources["folder"]), ("bot.reembedded", bot.id), ("tenant.updated", tenant_id),
        ("tenant.exported", tenant_id), ("bot.deleted", bot.id),
    ]  # fmt: skip
    moved = workspace.tenants.import_(tmp_path / "acme.minirag", slug="moved", progress=False).tenant
    assert actions(workspace.tenant("moved")) == [("tenant.imported", moved.id)]


def test_no_contents_are_in_it(workspace: minirag.Workspace) -> None:
    """Neither keys, texts, names nor secrets are in any event."""
    session = workspace.tenant("acme", create=True)
    bot = session.bot("canary-bot", create=True, credentials={"api_key": "canary-secret"})
    bot.add(minirag.DocumentInput(text="canary-text", key="canary-key", title="canary-title"), source="canary-source")
    bot.update(system_prompt="canary-prompt")
    bot.documents.remove("canary-key")
    bot.sources.remove("canary-source")
    bot.delete()
    told = " ".join(str(event.model_dump()) for event in session.audit.events())
    assert "canary" not in told


def test_what_changed_nothing_is_not_there(bot: minirag.Bot, workspace: minirag.Workspace) -> None:
    """A search, an answer, an equal setting, a document that was there already, and what failed leave no event."""
    session = workspace.tenant("acme")
    bot.add(minirag.DocumentInput(text="A kettle boils.", key="note"))
    before = actions(session)
    bot.search("kettle")
    bot.ask("What boils?")
    bot.update(system_prompt=bot.profile.system_prompt)
    bot.add(minirag.DocumentInput(text="A kettle boils.", key="note"))
    with pytest.raises(minirag.errors.DocumentNotFoundError):
        bot.documents.remove("note", "missing")
    with pytest.raises(BotNotFoundError):
        session.bots.delete("missing")
    assert actions(session) == before


def test_one_event_an_add(bot: minirag.Bot, workspace: minirag.Workspace, embedder: CountingEmbedder) -> None:
    """However many documents and batches one `add` takes in, it is one event."""
    bot.add(minirag.DocumentInput(text=f"Text {number}.", key=str(number)) for number in range(3_000))
    found = [action for action, _ in actions(workspace.tenant("acme"))]
    assert found.count("documents.added") == 1
    assert len(embedder.documents) == 3_000


def test_events_are_picked_and_read_lazily(bot: minirag.Bot, workspace: minirag.Workspace) -> None:
    """Events come newest first, page by page, and `action`, `subject` and `actor` pick among them."""
    session = workspace.tenant("acme")
    for number in range(5):
        bot.update(system_prompt=f"Prompt {number}.")
    updates = list(session.audit.events(action="bot.updated", subject=bot.id, actor="application"))
    assert len(updates) == 5
    assert [event.at for event in updates] == sorted((event.at for event in updates), reverse=True)
    assert list(session.audit.events(actor="user:nobody")) == []
    newest = next(session.audit.events())
    assert (newest.action, newest.actor) == ("bot.updated", "application")


def test_more_events_than_a_page(bot: minirag.Bot, workspace: minirag.Workspace) -> None:
    """What is on the second page is there too, once."""
    keys = [str(number) for number in range(1_500)]
    bot.add(minirag.DocumentInput(text=f"Text {key}.", key=key) for key in keys)
    ids = {document.id for document in bot.documents.list()}
    bot.documents.remove(*keys)
    removed = [event.subject for event in workspace.tenant("acme").audit.events(action="document.removed")]
    assert len(removed) == 1_500
    assert set(removed) == ids


def test_a_failed_action_leaves_no_event(
    bot: minirag.Bot, workspace: minirag.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is a part of the transaction: where that fails, neither is there."""
    from minirag.providers.sqlalchemy.writer import SqlAlchemyWriter

    def fail(*_: object) -> None:
        raise StorageError("the disk is full")

    before = actions(workspace.tenant("acme"))
    monkeypatch.setattr(SqlAlchemyWriter, "put_audit_events", fail)
    with pytest.raises(StorageError):
        bot.delete()
    monkeypatch.undo()
    assert workspace.tenant("acme").bot("support").id == bot.id
    assert actions(workspace.tenant("acme")) == before


@pytest.mark.parametrize(
    ("principal", "actor"),
    [
        (APPLICATION, "application"),
        (Principal(kind="user", user_id="u1"), "user:u1"),
        (Principal(kind="token", user_id="u1", token_id="t1"), "user:u1/token:t1"),
        (Principal(kind="session", user_id="u1", token_id="s1"), "user:u1/session:s1"),
    ],
)
def test_an_actor_is_named_by_ids(principal: Principal, actor: str) -> None:
    """An actor's name leads from a token to its person, and holds no address."""
    assert actor_of(principal) == actor


def test_what_makes_a_tenant_with_its_owner_is_in_its_audit_log(workspace: minirag.Workspace) -> None:
    """The tenant, the owner and the token, made by the application, and nothing where nothing was made."""
    made = workspace.tenants.bootstrap("globex", None, "ann@example.com", "a long password")
    session = workspace.tenant("globex")
    (token,) = session.tokens.list()
    assert [(event.actor, event.action, event.subject) for event in session.audit.events()][::-1] == [
        ("application", "tenant.created", made.tenant.id),
        ("application", "user.created", made.owner.id),
        ("application", "token.created", token.id),
    ]
    before = list(session.audit.events())
    with pytest.raises(TenantExistsError):
        workspace.tenants.bootstrap("globex", None, "ann@example.com", "a long password")
    assert list(session.audit.events()) == before
