"""What an erasure says of itself, and what it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirag
from minirag.bot import Bot
from minirag.errors import (
    AmbiguousKeyError,
    BotNotFoundError,
    DocumentNotFoundError,
    EvidenceGoneError,
    InvalidInputError,
    NotFoundError,
    ReadOnlyWorkspaceError,
    SourceNotFoundError,
    TenantNotFoundError,
)
from minirag.models.answers import Citation
from minirag.models.chats import Message
from tests.erasure.scanning import found_in, needles_of_texts
from tests.erasure.world import CANARY, KEY, Seeded, canaries, fill, open_bot, open_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[minirag.Workspace]:
    with open_workspace(tmp_path) as opened:
        yield opened


@pytest.fixture
def bot(workspace: minirag.Workspace) -> Bot:
    """A bot with three plain documents and the one that is to go."""
    bot = open_bot(workspace)
    fill(bot, documents=3)
    return bot


def test_what_a_receipt_counts(workspace: minirag.Workspace, bot: Bot) -> None:
    """A receipt tells kinds and numbers, names ids and no contents, and is kept."""
    chunks = bot.documents.get(KEY).chunks
    document_id = bot.documents.get(KEY).id
    receipt = bot.documents.remove(KEY, erase=True)
    assert receipt.kind == "document"
    assert receipt.tenant == "acme"
    assert receipt.bot_id == bot.id
    assert receipt.subjects == (document_id,)
    assert receipt.counts == {
        "documents": 1, "versions": 3, "chunks": chunks, "vectors": chunks, "messages": 1, "credentials": 0,
    }  # fmt: skip
    assert receipt.finished_at is not None
    assert receipt.requested_at <= receipt.finished_at
    assert any("backups" in place for place in receipt.out_of_reach)
    assert KEY not in receipt.model_dump_json()
    assert CANARY not in receipt.model_dump_json()
    assert list(workspace.erasures.list()) == [receipt] == [workspace.erasures.get(receipt.id)]
    assert list(workspace.erasures.resume()) == []
    assert "3 versions" in str(receipt)
    assert "done" in repr(receipt)
    assert "backups and exports" in receipt._repr_html_()


def test_receipts_outlive_what_they_are_about(workspace: minirag.Workspace, bot: Bot) -> None:
    """Receipts of a bot and of its tenant are there when both are gone, newest first; then the tenant is named by its id."""
    first = workspace.tenant("acme").bots.delete("support", erase=True)
    tenant_id = workspace.tenants.get("acme").id
    second = workspace.tenants.delete("acme", erase=True)
    assert [receipt.id for receipt in workspace.erasures.list()] == [second.id, first.id]
    assert (first.tenant, workspace.erasures.get(first.id).tenant) == ("acme", tenant_id)
    with pytest.raises(BotNotFoundError):
        bot.documents.count()
    with pytest.raises(TenantNotFoundError):
        workspace.tenant("acme")


def test_without_erase_all_is_as_before(workspace: minirag.Workspace, bot: Bot) -> None:
    """`erase=False` ends the search and keeps the text as evidence; no receipt is written."""
    (citation,) = [c for c in bot.ask("How many marmosets are admitted every fortnight?").citations if c.key == KEY][:1]
    assert bot.documents.remove(KEY) == 1
    assert citation.verify()
    assert bot.sources.remove("secrets", erase=False) == 0
    assert bot.delete() is None
    assert workspace.tenants.delete("acme") is None  # type: ignore[func-returns-value]
    assert list(workspace.erasures.list()) == []


def test_evidence_is_gone(bot: Bot) -> None:
    """A citation of an erased text opens nothing any more."""
    (citation,) = [c for c in bot.ask("How many marmosets are admitted every fortnight?").citations if c.key == KEY][:1]
    bot.documents.remove(KEY, erase=True)
    with pytest.raises(EvidenceGoneError):
        citation.open()


def test_chats_are_scrubbed(bot: Bot) -> None:
    """By default an answer that cites the text is emptied and marked; the question stays, and the chat goes on."""
    chat = bot.chat(next(iter(bot.chats.list())).id)
    bot.documents.remove(KEY, erase=True)
    question, answer = chat.messages
    assert question.text == "How many marmosets are admitted every fortnight?"
    assert (answer.text, answer.citations, answer.status) == ("", (), "erased")
    chat.send("And a parcel?")
    assert len(chat.messages) == 4


def test_chats_are_kept_with_a_gap(bot: Bot, tmp_path: Path) -> None:
    """With `chats="keep"` an answer's own words stay, and where it held the text stands a marked gap."""
    chat = bot.chat(next(iter(bot.chats.list())).id)
    document = bot.documents.get(KEY)
    cited = Citation(
        marker="[1]", quote=CANARY, key=KEY, bot="support", document_id=document.id, version_id=document.version_id,
        source_id=document.source_id, source_name="secrets", title=None, start=0, end=len(CANARY), page=None,
    )  # fmt: skip
    other = cited.model_copy(
        update={"marker": "[2]", "document_id": "other", "version_id": "other", "key": "plain-1", "quote": "a parcel"}
    )
    text = f"I have read that {CANARY} [1]. But a parcel is another matter [2]."
    with bot._context.core.storage.write(bot._context.scope) as writer:
        message = chat.messages[-1].model_copy(update={"text": text, "citations": (cited, other)})
        writer.put_message(chat.id, Message.model_validate(message.model_dump()))
    receipt = bot.documents.remove(KEY, erase=True, chats="keep")
    assert receipt.counts["messages"] == 1
    answer = chat.messages[-1]
    assert answer.text == "I have read that [erased]. But a parcel is another matter [2]."
    assert (answer.citations, answer.status) == ((other,), "complete")
    assert found_in(tmp_path, needles_of_texts([CANARY, KEY])) == []


def test_an_answer_that_was_cut_short(bot: Bot, tmp_path: Path) -> None:
    """What an answer without citations repeats of the text becomes a gap too; an answer that cites another document stays."""
    chat = bot.chat()
    chat.send("How many marmosets are admitted every fortnight?")
    with bot._context.core.storage.write(bot._context.scope) as writer:
        changes = {"text": f"So: {CANARY[:40]}", "citations": (), "status": "partial"}
        writer.put_message(chat.id, chat.messages[-1].model_copy(update=changes))
    bot.documents.remove(KEY, erase=True)
    assert (chat.messages[-1].text, chat.messages[-1].status) == ("So: [erased]", "partial")
    assert found_in(tmp_path, needles_of_texts([CANARY[:40]])) == []


def test_what_was_removed_before(bot: Bot, tmp_path: Path) -> None:
    """A document that was removed, and a source that was, can still be erased: the one by its key, the other by its id."""
    bot.documents.remove(KEY)
    receipt = bot.documents.remove(KEY, erase=True)
    assert (receipt.counts["documents"], receipt.counts["versions"], receipt.status) == (0, 3, "done")
    fill(bot, documents=0, chat=False)
    source = bot.sources.get("secrets")
    bot.sources.remove(source)
    receipt = bot.sources.remove(source.id, erase=True)
    assert (receipt.counts["versions"], receipt.subjects) == (3, (source.id,))
    assert found_in(tmp_path, needles_of_texts([CANARY, KEY])) == []
    with pytest.raises(SourceNotFoundError):
        bot.sources.remove(source.id, erase=True)


def test_a_text_that_waits_to_be_read(bot: Bot, tmp_path: Path) -> None:
    """A text source that waits to read the same text again does not bring it back."""
    bot.sources.add(text=CANARY, name="minutes")
    bot.ingest()
    bot.sources.add(text=CANARY, name="minutes")
    (key,) = [document.key for document in bot.documents.list(source="minutes")]
    bot.documents.remove(KEY, erase=True)
    bot.documents.remove(key, source="minutes", erase=True)
    assert found_in(tmp_path, needles_of_texts([CANARY])) == []
    bot.ingest()
    assert bot.documents.count(source="minutes") == 0


def test_nothing_is_erased_if_a_key_is_missing(workspace: minirag.Workspace, bot: Bot) -> None:
    """One missing or ambiguous key, or a wrong argument, and everything stays."""
    with pytest.raises(DocumentNotFoundError, match="'missing'"):
        bot.documents.remove(KEY, "missing", erase=True)
    bot.add(minirag.DocumentInput(text="Another one.", key=KEY), progress=False)
    with pytest.raises(AmbiguousKeyError, match="2 sources"):
        bot.documents.remove(KEY, erase=True)
    with pytest.raises(InvalidInputError, match="chats"):
        bot.documents.remove(KEY, source="secrets", erase=True, chats="burn")  # type: ignore[call-overload]
    with pytest.raises(InvalidInputError, match="erase"):
        bot.documents.remove(KEY, source="secrets", erase="yes")  # type: ignore[call-overload]
    assert bot.documents.count() == 5
    assert list(workspace.erasures.list()) == []
    assert bot.documents.remove(KEY, source="secrets", erase=True).status == "done"
    assert bot.documents.text(KEY) == "Another one."
    with pytest.raises(NotFoundError, match="no erasure"):
        workspace.erasures.get("missing")


def test_another_tenant_cannot_erase(workspace: minirag.Workspace, bot: Bot) -> None:
    """A tenant with a bot, a source and a key of the same names erases its own; another's source id is a missing one."""
    rival = open_bot(workspace, tenant="rival")
    fill(rival, documents=1, chat=False)
    with pytest.raises(SourceNotFoundError):
        rival.sources.remove(bot.sources.get("secrets").id, erase=True)
    receipt = rival.sources.remove("secrets", erase=True)
    assert (receipt.status, receipt.kept_copies, receipt.tenant) == ("done", 0, "rival")
    assert CANARY in bot.documents.text(KEY)


def test_a_read_only_workspace_erases_nothing(bot: Bot, workspace: minirag.Workspace, tmp_path: Path) -> None:
    """Where nothing may be written, nothing is erased."""
    workspace.close()
    with open_workspace(tmp_path, read_only=True) as opened:
        with pytest.raises(ReadOnlyWorkspaceError):
            opened.tenant("acme").bot("support").documents.remove(KEY, erase=True)
        assert list(opened.erasures.list()) == []


def test_in_memory() -> None:
    """A workspace in memory is rewritten and looked through as a file is."""
    embedder = Seeded()
    with open_workspace(":memory:", embedder) as opened:
        bot = open_bot(opened)
        fill(bot, documents=3)
        receipt = bot.documents.remove(KEY, erase=True)
        assert (receipt.status, receipt.verified, receipt.scanned_files) == ("done", True, 1)
        storage = opened._core.storage
        data = storage._database._now.keeper.serialize()  # type: ignore[attr-defined]  # the bytes themselves
        assert [name for needle, name in canaries(embedder).items() if needle in data] == []


def test_the_asynchronous_face(tmp_path: Path) -> None:
    """Awaited, an erasure gives the same receipts."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path, embedder=Seeded(), plugins=[]) as opened:
            session = await opened.tenant("acme", create=True)
            bot = await session.bot("support", create=True)
            for key in ("a", "b"):
                await bot.add(minirag.DocumentInput(text=f"{CANARY} of {key}.", key=key), source=key)
            first = await bot.documents.remove("a", erase=True)
            second = await bot.sources.remove("b", erase=True, chats="keep")
            third = await session.bots.delete("support", erase=True)
            fourth = await opened.tenants.delete("acme", erase=True)
            listed = await opened.erasures.list()
            assert [receipt.id for receipt in listed] == [fourth.id, third.id, second.id, first.id]
            assert {receipt.status for receipt in listed} == {"done"}
            assert (await opened.erasures.get(first.id)).kind == "document"
            assert await opened.erasures.resume() == []

    asyncio.run(main())
