"""Credentials for one engine of a bot: it goes before the one for all, and no other engine's server ever sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import InvalidInputError, ProviderAuthenticationError
from minirag.models.credentials import credentials_of
from tests.servers.embedding_server import RERANKING, ModelServer
from tests.servers.openai_server import OpenAIServer

Servers = dict[str, OpenAIServer]
KEYS = {"llm": "sk-of-the-model", "embedder": "sk-of-the-embedder", "reranker": "sk-of-the-reranker"}
SHARED = "sk-for-all"


@pytest.fixture
def servers() -> Iterator[Servers]:
    """A server for each engine."""
    made: Servers = {"llm": OpenAIServer(), "embedder": OpenAIServer(), "reranker": ModelServer(RERANKING["cohere"])}
    with ExitStack() as stack:
        for server in made.values():
            stack.enter_context(server)
        yield made


def make(workspace: minirag.Workspace, servers: Servers, credentials: dict[str, str]) -> minirag.Bot:
    """Return a bot that uses all three servers."""
    urls = {engine: server.base_url for engine, server in servers.items()}
    return workspace.tenant("acme", create=True).bot(
        "support",
        create=True,
        llm={"provider": "openai", "options": {"model": "m", "base_url": urls["llm"]}},
        embedder={"provider": "openai", "options": {"model": "e", "base_url": urls["embedder"], "dimensions": 64}},
        reranker={"provider": "cohere", "options": {"model": "r", "base_url": urls["reranker"]}},
        credentials=credentials,
    )


def use(bot: minirag.Bot) -> None:
    """Have each engine called."""
    bot.add(minirag.DocumentInput(text="A red kettle.", key="a"), minirag.DocumentInput(text="A blue pan.", key="b"))
    bot.ask("Is the kettle red?")


def seen(server: OpenAIServer) -> set[str]:
    """Return the keys that came in, of which nothing else of a request may hold any."""
    everything = str([(request.path, request.headers, request.body) for request in server.requests])
    return {key for key in (*KEYS.values(), SHARED, "sk-newer") if key in everything}


def test_each_server_sees_its_own_key_alone(tmp_path: Path, servers: Servers) -> None:
    """While the bot is made, and by each engine that it calls then."""
    with minirag.Workspace.open(tmp_path) as workspace:
        bot = make(workspace, servers, {f"{engine}.api_key": key for engine, key in KEYS.items()})
        use(bot)
        assert bot.profile.credential_fields == ("embedder.api_key", "llm.api_key", "reranker.api_key")
    assert {engine: seen(server) for engine, server in servers.items()} == {
        engine: {key} for engine, key in KEYS.items()
    }


def test_the_plain_one_is_for_those_without_one_of_their_own(tmp_path: Path, servers: Servers) -> None:
    """And it is not sent where there is one."""
    with minirag.Workspace.open(tmp_path) as workspace:
        use(make(workspace, servers, {"api_key": SHARED, "embedder.api_key": KEYS["embedder"]}))
    assert {engine: seen(server) for engine, server in servers.items()} == {
        "llm": {SHARED},
        "embedder": {KEYS["embedder"]},
        "reranker": {SHARED},
    }


def test_an_engine_for_which_there_is_none_sends_none(tmp_path: Path, servers: Servers) -> None:
    """Another's is no better than none."""
    with minirag.Workspace.open(tmp_path) as workspace:
        use(make(workspace, servers, {"llm.api_key": KEYS["llm"]}))
    assert (seen(servers["llm"]), seen(servers["embedder"]), seen(servers["reranker"])) == ({KEYS["llm"]}, set(), set())


def test_one_that_is_set_later_or_removed_counts_at_once(tmp_path: Path, servers: Servers) -> None:
    """Without it, the engine is back at the one for all; the others' never change."""
    with minirag.Workspace.open(tmp_path) as workspace:
        bot = make(workspace, servers, {"api_key": SHARED})
        use(bot)
        for value, expected in (("sk-newer", "sk-newer"), (None, SHARED)):
            bot.update(credentials={"llm.api_key": value})
            for server in servers.values():
                server.requests.clear()
            use(bot)
            bot.search("pan")
            assert seen(servers["llm"]) == {expected}
            assert seen(servers["embedder"]) | seen(servers["reranker"]) == {SHARED}


def test_a_move_to_another_embedder_uses_the_embedders_own(tmp_path: Path, servers: Servers) -> None:
    """A server that takes only this key embeds; with the one for all it would have refused."""
    with OpenAIServer(api_key=KEYS["embedder"]) as other, minirag.Workspace.open(tmp_path) as workspace:
        bot = make(workspace, servers, {"api_key": SHARED})
        use(bot)
        ref = {"provider": "openai", "options": {"model": "f", "base_url": other.base_url, "dimensions": 64}}
        with pytest.raises(ProviderAuthenticationError):
            bot.reembed(ref)
        bot.update(credentials={"embedder.api_key": KEYS["embedder"]})
        other.requests.clear()
        assert bot.reembed(ref).moved
        assert seen(other) == {KEYS["embedder"]}


def test_an_update_of_an_engine_is_tried_with_its_own(tmp_path: Path, servers: Servers) -> None:
    """A trial is given neither what it is not to have, nor less than what it will have."""
    given: list[tuple[str, dict[str, str]]] = []
    with minirag.Workspace.open(tmp_path) as workspace:
        bot = make(workspace, servers, {f"{engine}.api_key": key for engine, key in KEYS.items()})
        create = workspace._core.engines._providers.create

        def recorded(kind: Any, ref: Any, context: Any) -> object:
            given.append((kind, dict(context.credentials)))
            return create(kind, ref, context)

        workspace._core.engines._providers.create = recorded  # type: ignore[method-assign]
        llm = {"provider": "openai", "options": {"model": "n", "base_url": servers["llm"].base_url}}
        bot.update(llm=llm, chunker="whole", credentials={"api_key": SHARED, "llm.organisation": "ours"})
    assert given == [("llm", {"api_key": KEYS["llm"], "organisation": "ours"}), ("chunker", {})]


def test_a_bot_whose_credentials_are_anothers_shares_its_engine(tmp_path: Path) -> None:
    """An embedder that is given none is the workspace's, as without any credentials."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        tenant = workspace.tenant("acme", create=True)
        bots = [tenant.bot("a", create=True, credentials={"llm.api_key": "sk"}), tenant.bot("b", create=True)]
        engines = [workspace._core.engines.embedder(bot._context, bot._context.load()) for bot in bots]
    assert engines[0] is engines[1]


@pytest.mark.parametrize(
    "name",
    [
        "embeder.api_key",
        "chunker.api_key",
        "storage.api_key",
        "LLM.api_key",
        "llm.",
        ".api_key",
        "llm.api.key",
        "api key",
    ],
)
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    """The message has the name and those that would do, and not the value; nothing is stored."""
    with minirag.Workspace.open(tmp_path, embedder="hashing") as workspace:
        tenant = workspace.tenant("acme", create=True)
        with pytest.raises(InvalidInputError, match=r"'embedder\.api_key'") as caught:
            tenant.bot("a", create=True, credentials={"api_key": SHARED, name: "sk-hidden"})
        assert repr(name) in str(caught.value)
        assert "sk-hidden" not in str(caught.value)
        assert list(tenant.bots.list()) == []


def test_a_stored_name_of_no_engine_is_given_to_none() -> None:
    """Such as an archive by another hand may hold."""
    names = ("api_key", "chunker.api_key", "llm.api_key", "everyone.organisation")
    assert credentials_of("llm", names) == {"api_key": "llm.api_key"}
    assert credentials_of("reranker", names) == {"api_key": "api_key"}
    assert credentials_of("chunker", names) == {}
