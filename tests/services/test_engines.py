"""Engines: who gets which instance, and which secrets are opened when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput, errors
from minirag.interfaces import LLM, LLMRequest, LLMResponse

SERVER = {"provider": "openai", "options": {"model": "m", "base_url": "http://127.0.0.1:9/v1"}}


class Signed(LLM):
    """Answers with its own signature."""

    name = "tests:signed"

    def __init__(self, signature: str) -> None:
        self._signature = signature

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text=f"Signed {self._signature} [1].")


def test_an_instance_is_its_tenants_own(workspace: minirag.Workspace) -> None:
    """Two tenants' instances of the same name never stand in for each other."""
    bots = [workspace.tenant(slug, create=True).bot("b", create=True, llm=Signed(slug)) for slug in ("first", "second")]
    for bot in bots:
        bot.add(DocumentInput(text="Who signed this?", key="a"))
    assert [bot.ask("Who signed this?").text for bot in bots] == ["Signed first [1].", "Signed second [1]."]


def test_a_missing_instance_is_named(tmp_path: Path, embedder: Any) -> None:
    """After reopening without the instance, asking says what to pass; with it, it answers."""
    with minirag.Workspace.open(tmp_path, embedder=embedder) as ws:
        bot = ws.tenant("acme", create=True).bot("b", create=True, llm=Signed("me"))
        bot.add(DocumentInput(text="Who signed this?", key="a"))
    with minirag.Workspace.open(tmp_path, embedder=embedder) as ws:
        session = ws.tenant("acme")
        with pytest.raises(errors.ProviderNotFoundError, match="tests:signed"):
            session.bot("b").ask("Who signed this?")
        assert session.bot("b", create=True, llm=Signed("me")).ask("Who signed this?").text == "Signed me [1]."


def test_what_needs_no_secret_works_without_the_key(tmp_path: Path, embedder: Any) -> None:
    """With the key lost, searching works, answering through the credential's engine says why not, no key is made."""
    with minirag.Workspace.open(tmp_path, embedder=embedder) as ws:
        bot = ws.tenant("acme", create=True).bot("b", create=True, llm=SERVER, credentials={"api_key": "sk-canary"})
        bot.add(DocumentInput(text="A red kettle.", key="a"))
        assert bot.profile.credential_fields == ("api_key",)
        assert "canary" not in repr(bot.profile) + repr(bot)
    (tmp_path / "master.key").unlink()
    with minirag.Workspace.open(tmp_path, embedder=embedder) as ws:
        bot = ws.tenant("acme").bot("b")
        assert len(bot.search("kettle")) == 1
        with pytest.raises(errors.SecretKeyMissingError):
            bot.ask("kettle?")
    assert not (tmp_path / "master.key").exists()
    assert all(b"sk-canary" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_wrong_key_is_refused(tmp_path: Path, embedder: Any) -> None:
    """A key that is not the folder's is an error at once."""
    with minirag.Workspace.open(tmp_path, embedder=embedder) as ws:
        ws.tenant("acme", create=True)
    with pytest.raises(errors.SecretKeyMismatchError, match=r"master\.key"):
        minirag.Workspace.open(tmp_path, secret_key=minirag.generate_secret_key())


def test_credentials_can_be_changed(workspace: minirag.Workspace) -> None:
    """A changed credential is used from then on; an equal one changes nothing."""
    session = workspace.tenant("acme", create=True)
    bot = session.bot("b", create=True, llm=SERVER, credentials={"api_key": "one"})
    before = bot.profile
    assert session.bot("b", create=True, credentials={"api_key": "one"}).profile == before
    bot.update(credentials={"api_key": "two"})
    with workspace._core.storage.read(bot._context.scope) as reader:
        assert len(reader.secrets(bot.id)) == 1
    assert workspace._core.secrets.open(bot._context.scope, bot.id) == {"api_key": "two"}
    bot.update(credentials={"api_key": None, "never_given": None})
    assert bot.profile.credential_fields == ()
    assert workspace._core.secrets.open(bot._context.scope, bot.id) == {}


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"llm": "nobody"}, errors.ProviderNotFoundError, "extractive"),
        ({"llm": "openai"}, errors.ProviderOptionsError, "model"),
        (
            {"llm": {"provider": "openai", "options": {"model": "m", "colour": 1}}},
            errors.ProviderOptionsError,
            "colour",
        ),
        ({"embedder": 7}, errors.InvalidInputError, "embedder"),
        ({"chunker": {"provider": "recursive", "options": {"size": -1}}}, errors.ProviderOptionsError, "size"),
        ({"colour": "red"}, errors.InvalidInputError, "colour"),
        ({"language": "klingon"}, errors.InvalidInputError, "language"),
        ({"keep_versions": -1}, errors.InvalidInputError, "keep_versions"),
        ({"credentials": "sk-123"}, errors.InvalidInputError, "credentials"),
    ],
)
def test_wrong_settings_make_no_bot(workspace: minirag.Workspace, settings: Any, error: Any, words: str) -> None:
    """A wrong setting is named, and no bot is made."""
    session = workspace.tenant("acme", create=True)
    with pytest.raises(error, match=words):
        session.bot("b", create=True, **settings)
    assert list(session.bots.list()) == []


def test_equal_settings_do_nothing_and_others_update(workspace: minirag.Workspace) -> None:
    """`bot(..., create=True)` is idempotent."""
    session = workspace.tenant("acme", create=True)
    first = session.bot("b", create=True, system_prompt="Be brief.")
    again = session.bot("b", create=True, system_prompt="Be brief.")
    assert (again.id, again.profile) == (first.id, first.profile)
    changed = session.bot("b", create=True, system_prompt="Be kind.")
    assert (changed.id, changed.profile.system_prompt) == (first.id, "Be kind.")
    with pytest.raises(errors.InvalidInputError, match="create=True"):
        session.bot("b", system_prompt="Be rude.")
