"""Credentials of the process's environment: used only where the workspace says so, and sent to no server a bot names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.interfaces import (
    LLM,
    LLMChunk,
    LLMRequest,
    LLMResponse,
    ProviderContext,
    ProviderSpec,
    TokenUsage,
    hookimpl,
)

KEY = "a-key-of-the-process"


class Keyed(LLM):
    """A model that answers with the key it was given."""

    name = "keyed"

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self.credentials = credentials

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text=str(dict(self.credentials)), usage=TokenUsage(), finish_reason="stop", model="keyed")

    def stream(self, request: LLMRequest) -> Any:
        yield LLMChunk(text=self.generate(request).text, finish_reason="stop")


def create(options: object, context: ProviderContext) -> Keyed:
    """Return the model."""
    assert not context.environment, "a provider has no business with the other variables"
    return Keyed(context.credentials)


class Options(minirag.models.base.InputModel):
    """Options of the model."""

    model: str = ""
    base_url: str = "https://vendor.example/v1"


class Plugin:
    """Registers it."""

    @hookimpl
    def minirag_llms(self) -> list[ProviderSpec]:
        """Return it."""
        return [
            ProviderSpec(
                name="keyed",
                factory=f"{__name__}:create",
                options=f"{__name__}:Options",
                environment=(("api_key", "KEYED_API_KEY"),),
            )
        ]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYED_API_KEY", KEY)


def key_of(workspace: minirag.Workspace, **profile: Any) -> str | None:
    """Return the key that a new bot's model has."""
    bot = workspace.tenant("acme", create=True).bot("support", create=True, embedder="hashing", **profile)
    core = bot._context.core
    model = core.engines.llm(bot._context, bot._context.load())
    assert isinstance(model, Keyed)
    return model.credentials.get("api_key")


def opened(folder: Path, **settings: Any) -> minirag.Workspace:
    return minirag.Workspace.open(folder, plugins=[Plugin()], **settings)


def test_without_leave_the_environment_is_not_read(tmp_path: Path) -> None:
    """A bot without credentials has none, whatever the process holds."""
    with opened(tmp_path) as workspace:
        assert key_of(workspace, llm="keyed") is None


def test_with_leave_a_bot_without_credentials_uses_the_variable(tmp_path: Path) -> None:
    """The variable is the one that the provider names."""
    with opened(tmp_path, env_credentials=True) as workspace:
        assert key_of(workspace, llm="keyed:small") == KEY


def test_a_bots_own_credentials_come_first(tmp_path: Path) -> None:
    """What was stored with the bot is never replaced."""
    with opened(tmp_path, env_credentials=True) as workspace:
        assert key_of(workspace, llm="keyed", credentials={"api_key": "its-own"}) == "its-own"


def test_a_server_that_a_bot_names_gets_no_key_of_the_process(tmp_path: Path) -> None:
    """Whoever sets a bot's `base_url` could read the key there."""
    elsewhere = {"provider": "keyed", "options": {"base_url": "https://elsewhere.example/v1"}}
    with opened(tmp_path, env_credentials=True) as workspace:
        assert key_of(workspace, llm=elsewhere) is None


def test_a_server_that_the_workspace_names_gets_it(tmp_path: Path) -> None:
    """A proxy, say: who opens the workspace chose it."""
    proxy = {"provider": "keyed", "options": {"base_url": "https://proxy.example/v1"}}
    with opened(tmp_path, env_credentials=True, llm=proxy) as workspace:
        assert key_of(workspace) == KEY


def test_the_environment_can_give_leave_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`from_env` knows the setting."""
    monkeypatch.setenv("MINIRAG_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("MINIRAG_ENV_CREDENTIALS", "true")
    with minirag.Workspace.from_env() as workspace:
        assert workspace._core.engines._environment is not None


def test_no_credential_is_in_a_repr() -> None:
    """Neither the key nor the other variables."""
    context = ProviderContext(credentials={"api_key": KEY}, environment={"KEYED_API_KEY": KEY})
    assert KEY not in repr(context)
