"""What lies beside the straight path: things that were deleted or renamed, odd names, and how results look."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirag
from minirag.errors import (
    BotNotFoundError,
    ChatNotFoundError,
    ConfigurationError,
    InvalidInputError,
    MiniRAGError,
    ProviderNotFoundError,
    TenantNotFoundError,
)
from tests.servers.openai_server import OpenAIServer, stream


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[minirag.Workspace]:
    """An empty workspace."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as opened:
        yield opened


@pytest.fixture
def bot(workspace: minirag.Workspace) -> minirag.Bot:
    """A bot with one document."""
    made = workspace.tenant("acme", create=True).bot("support", create=True)
    made.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="note"))
    return made


def test_a_deleted_bot_is_gone_for_those_who_hold_it(workspace: minirag.Workspace, bot: minirag.Bot) -> None:
    """Whatever is asked of a deleted bot, or of a chat of it, is `BotNotFoundError` or `ChatNotFoundError`."""
    chat = bot.chat()
    bot.delete()
    document = minirag.DocumentInput(text="More.")
    for call in (
        lambda: bot.search("laptop"),
        lambda: bot.search_many(["laptop"]),
        lambda: bot.ask("laptop?"),
        lambda: bot.add(document),
        lambda: bot.ingest(),
        lambda: bot.update(system_prompt="x"),
        lambda: bot.stats(),
        lambda: bot.chat(),
        lambda: bot.evaluate({"q": "laptop"}, {"q": {"note": 1}}),
        lambda: bot.sources.list(),
        lambda: bot.sources.add(text="x", name="x"),
        lambda: bot.documents.list(),
        lambda: bot.documents.count(),
        lambda: bot.documents.remove("note"),
        lambda: bot.chats.list(),
        lambda: bot.delete(),
        lambda: workspace.tenant("acme").bot("support"),
    ):
        with pytest.raises(BotNotFoundError, match="'support'"):
            call()
    with pytest.raises(ChatNotFoundError):
        chat.send("laptop?")
    assert [event.type for event in bot.stream("laptop?")] == ["error"]


def test_a_deleted_tenants_session_makes_nothing(workspace: minirag.Workspace, bot: minirag.Bot) -> None:
    """A session of a deleted tenant finds nothing and cannot make a bot; its slug is free for another customer."""
    session = workspace.tenant("acme")
    workspace.tenants.delete("acme")
    with pytest.raises(TenantNotFoundError, match="'acme' does not exist any more"):
        session.bot("new", create=True)
    with pytest.raises(BotNotFoundError):
        bot.search("laptop")
    assert len(session.search("laptop")) == 0
    workspace.tenants.create("acme")
    assert workspace.tenant("acme").bots.list() == []
    assert session.bots.list() == []


def test_a_renamed_bot_keeps_everything(workspace: minirag.Workspace, bot: minirag.Bot) -> None:
    """After a change of its name a bot is found by the new one alone, and its hits carry it."""
    bot.update(name="helpdesk")
    assert bot.name == bot.profile.name == "helpdesk"
    assert bot.search("laptop")[0].bot == "helpdesk"
    assert workspace.tenant("acme").bot("helpdesk").id == bot.id
    with pytest.raises(BotNotFoundError, match="'support'"):
        workspace.tenant("acme").bot("support")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names there are always text")
def test_a_file_whose_name_is_no_text_stops_no_other(bot: minirag.Bot, tmp_path: Path) -> None:
    """Such a file, and a folder so named, is skipped with the reason, and the report can be printed."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.txt").write_text("Good.", encoding="utf-8")
    for name in (b"\xff.txt", b"sub\xff/inner.txt"):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_text("Odd.", encoding="utf-8")
    report = bot.add(folder)
    assert [entry.key for entry in report.added] == ["good.txt"]
    assert report.counts["skipped"] == 2
    assert all("rename it" in (entry.reason or "") for entry in report.skipped)
    report._repr_html_().encode()


def test_leaving_a_stream_early_hangs_up_and_keeps_what_came(bot: minirag.Bot) -> None:
    """On the synchronous face too: the server sees the connection close, the chat keeps a `partial` message."""
    with OpenAIServer() as server:
        server.script(stream(*(f"word{number} " for number in range(400)), delay=0.01))
        options = {"model": "served", "base_url": server.base_url}
        bot.update(llm={"provider": "openai", "options": options}, credentials={"api_key": "sk-x"})
        chat = bot.chat()
        for event in chat.stream("How long may I return a laptop?"):
            if event.type == "delta" and event.text and "word2" in event.text:
                break
        del event
        gc.collect()
        assert server.hung_up.wait(5)
        question, partial = chat.messages
        assert (question.status, partial.status) == ("complete", "partial")
        assert partial.text.startswith("word0 word1 word2")


def test_a_misspelt_provider_is_an_error_when_the_workspace_is_opened(tmp_path: Path) -> None:
    """The name of a default is looked up at once, though what it names is made when first needed."""
    with pytest.raises(ProviderNotFoundError, match=r"'mini-lm'.*'minilm'"):
        minirag.Workspace.open(tmp_path, embedder="mini-lm")
    with pytest.raises(ProviderNotFoundError, match="LLM"):
        minirag.Workspace.open(tmp_path, llm="opnai:gpt")


def test_the_users_folder_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/kb` is in the user's folder, not in a folder called `~`; an unknown user is an error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with minirag.Workspace.open("~/kb", embedder="hashing") as opened:
        assert opened.location == str(tmp_path / "home" / "kb")
    with pytest.raises(InvalidInputError, match="location"):
        minirag.Workspace.open("~nobody-of-this-name/kb")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_no_message_shows_a_password(tmp_path: Path) -> None:
    """A database URL with a password is shown without it."""
    with pytest.raises(MiniRAGError) as caught:
        minirag.Workspace.open("postgresql://user:hunter2@localhost/db")
    assert "hunter2" not in str(caught.value)
    with minirag.Workspace.open(tmp_path, embedder="hashing") as opened:
        core = opened._core
        with minirag.Workspace(
            storage=core.storage,
            index=core.partitions.vectors,
            embedder="hashing",
            location="postgresql://user:hun@ter2@localhost/db",
        ) as other:
            assert other.location == "postgresql://user:***@localhost/db"
            assert "ter2" not in repr(other)


def test_a_configuration_file_is_read_as_it_is_meant(tmp_path: Path) -> None:
    """A relative location is meant from the file; a table `minirag` counts; wrong TOML names the file."""
    file = tmp_path / "settings.toml"
    file.write_text('[minirag]\nlocation = "kb"\nembedder = "hashing"\n', encoding="utf-8")
    with minirag.Workspace.from_config(file) as opened:
        assert opened.location == str(tmp_path / "kb")
    for text, word in (
        ("minirag = 5", "table"),
        ("location = ", "TOML"),
        ("", "location"),
        ("[minirag]\nbogus = 1", "bogus"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=word):
            minirag.Workspace.from_config(file)


def test_an_empty_list_of_queries_has_its_other_arguments_checked(bot: minirag.Bot) -> None:
    """`search_many([])` is an empty list, but not with a wrong `k` or `mode`."""
    assert bot.search_many([]) == []
    with pytest.raises(InvalidInputError, match="mode"):
        bot.search_many([], mode="bogus")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="k="):
        bot.search_many([], k=0)


def test_results_look_like_what_they_are(bot: minirag.Bot) -> None:
    """A person at a prompt sees the text and the numbers, not every field of everything inside."""
    answer = bot.ask("How long may I return a laptop?")
    assert repr(answer) == f"Answer({answer.text!r}, 1 citation)"
    assert str(answer).endswith("[1] note: A laptop may be returned within thirty days.")
    abstention = bot.ask("zebra", where={"lang": "none"})
    assert repr(abstention) == f"Answer({abstention.text!r}, abstained)"
    events = list(bot.stream("How long may I return a laptop?"))
    delta = next(event for event in events if event.type == "delta")
    assert repr(delta) == f"AnswerEvent(type='delta', text={delta.text!r})"
    results = bot.search("laptop")
    assert repr(results).splitlines()[0] == "SearchResults(1 hit)"
    assert "note: A laptop may be returned" in repr(results)
    report = bot.add(minirag.DocumentInput(text="One.", key="one"))
    assert repr(report).startswith("IngestReport(1 added; 1 chunk, ")
    assert repr(bot) == "<Bot 'support': extractive over hashing:words-trigrams (256 dimensions)>"
    for thing in (bot.sources, bot.documents, bot.chats):
        assert "'support'" in repr(thing)


def test_equal_citations_are_equal_however_they_came(bot: minirag.Bot) -> None:
    """A citation loaded from JSON equals the one it was stored from, and hashes alike."""
    citation = bot.ask("How long may I return a laptop?").citations[0]
    again = minirag.Citation.model_validate_json(citation.model_dump_json())
    assert again == citation
    assert len({again, citation}) == 1
    assert again != citation.model_copy(update={"start": 1})
