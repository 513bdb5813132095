"""Servers that a tenant's own people set on a bot: only where the workspace's policy lets URLs be read from."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import minirag
from minirag import errors
from minirag.aio.runner import Runner
from tests.access.world import World
from tests.servers.openai_server import OpenAIServer

NAME = "models.example.org"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A model server on the loopback."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def world() -> Iterator[World]:
    """A tenant in a workspace that reads only public URLs."""
    with minirag.Workspace.open(":memory:", embedder="hashing") as workspace:
        yield World(workspace)


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names resolve to; it may be changed."""
    resolve = socket.getaddrinfo
    known: dict[str, str] = {}

    def resolving(host: Any, *arguments: Any, **keywords: Any) -> Any:
        return resolve(known.get(host, host), *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    return known


def llm(url: str) -> dict[str, Any]:
    """Return a model at this server."""
    return {"provider": "openai", "options": {"model": "small", "base_url": url, "max_retries": 0}}


def reranker(url: str) -> dict[str, Any]:
    """Return a reranker at this server."""
    return {"provider": "jina", "options": {"model": "small", "base_url": url}}


def embedder(url: str) -> dict[str, Any]:
    """Return an embedder at this server."""
    return {"provider": "openai", "options": {"model": "small", "base_url": url, "dimension": 64}}


def open_for(server: OpenAIServer) -> dict[str, Any]:
    """Return a policy that opens the server's address."""
    return {"allow": [urlsplit(server.base_url).netloc]}


@pytest.mark.parametrize("caller", ["owner", "admin", "full", "one_bot"])
def test_a_private_server_is_refused(caller: str, world: World, server: OpenAIServer) -> None:
    """Whoever acts for the tenant cannot set one on any engine, and nothing is sent to it."""
    session = world.session_of(caller)
    bot = session.bot("support")
    before = world.contents()
    calls = [
        lambda: bot.update(llm=llm(server.base_url)),
        lambda: bot.update(reranker=reranker(server.base_url)),
        lambda: bot.update(embedder=embedder(server.base_url)),
        lambda: bot.reembed(embedder(server.base_url)),
        lambda: bot.update(llm=minirag.models.tenants.ProviderRef(**llm(server.base_url))),
    ]
    if caller != "one_bot":
        calls.append(lambda: session.bot("new", create=True, llm=llm(server.base_url)))
    for call in calls:
        with pytest.raises(errors.BlockedAddressError, match="url_policy"):
            call()
    assert server.requests == []
    assert world.contents() == before


def test_the_application_may_set_any(world: World, server: OpenAIServer) -> None:
    """What the application sets is called, and an admin who sends it back unchanged changes nothing."""
    world.bot.update(llm=llm(server.base_url))
    assert world.bot.ask("May a laptop be returned?").text
    assert len(server.requests) == 1
    admin = world.session_of("admin").bot("support")
    admin.update(llm=llm(server.base_url), system_prompt="Be brief.")
    assert not admin.profile.llm.guarded
    admin.ask("May a laptop be returned?")
    assert len(server.requests) == 2


def test_an_opened_server_is_called(server: OpenAIServer) -> None:
    """Where `url_policy` opens the address an admin may set it, and both faces reach it."""
    with minirag.Workspace.open(":memory:", embedder="hashing", url_policy=open_for(server)) as workspace:
        bot = World(workspace).session_of("admin").bot("support")
        assert bot.update(llm=llm(server.base_url)).llm.guarded
        assert bot.ask("May a laptop be returned?").text
        assert [event.type for event in bot.stream("May a laptop be returned?")][-1] == "done"

        async def ask() -> Any:
            runner = Runner(1)
            answer = await minirag.AsyncBot(bot, runner).ask("May a laptop be returned?")
            await workspace._aclose_engines()
            runner.close()
            return answer

        assert asyncio.run(ask()).text
        assert len(server.requests) == 3


def test_a_name_that_leads_elsewhere_later(world: World, server: OpenAIServer, addresses: dict[str, str]) -> None:
    """The address is checked at each connection too, by an engine that is not the application's with the same options."""
    url = server.base_url.replace("127.0.0.1", NAME)
    addresses[NAME] = "1.1.1.1"
    admin = world.session_of("admin").bot("support")
    admin.update(llm=llm(url))
    addresses[NAME] = "127.0.0.1"
    world.other_bot.update(llm=llm(url))
    world.other_bot.ask("May a laptop be returned?")
    assert len(server.requests) == 1
    with pytest.raises(errors.BlockedAddressError):
        admin.ask("May a laptop be returned?")
    with pytest.raises(errors.BlockedAddressError):
        world.bot.ask("May a laptop be returned?")

    async def ask() -> None:
        runner = Runner(1)
        with pytest.raises(errors.BlockedAddressError):
            await minirag.AsyncBot(admin, runner).ask("May a laptop be returned?")
        await world.workspace._aclose_engines()
        runner.close()

    asyncio.run(ask())
    assert len(server.requests) == 1


def test_a_host_without_an_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve cannot be judged and is refused."""

    def failing(*arguments: Any, **keywords: Any) -> Any:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    with pytest.raises(errors.FetchError, match="no address"):
        world.session_of("admin").bot("support").update(llm=llm(f"https://{NAME}/v1"))


def test_stored_credentials_stay_with_their_server(server: OpenAIServer) -> None:
    """Who names another server gives the credential for it; the one that was stored is never sent there."""
    with minirag.Workspace.open(
        ":memory:",
        embedder="hashing",
        url_policy=open_for(server),
        secret_key=minirag.generate_secret_key(),
    ) as workspace:
        world = World(workspace)
        world.bot.update(credentials={"api_key": "of-the-application"})
        bot = world.session_of("admin").bot("support")
        with pytest.raises(errors.InvalidInputError, match="not sent to another server"):
            bot.update(llm=llm(server.base_url))
        with pytest.raises(errors.InvalidInputError, match="not sent to another server"):
            bot.update(llm=llm(server.base_url), credentials={"llm.api_key": "of-the-admin", "other": "x"})
        bot.update(llm=llm(server.base_url), credentials={"api_key": "of-the-admin"})
        bot.ask("May a laptop be returned?")
        assert [request.headers["authorization"] for request in server.requests] == ["Bearer of-the-admin"]
