"""What a type checker must refuse: each marked line, for the marked reason, and no other line. Nothing runs this file."""

from __future__ import annotations

import minirag
from minirag.interfaces import Embedder, EmbeddingSpace


def no_data_without_a_tenant(workspace: minirag.Workspace) -> None:
    workspace.search("query")  # expect: attr-defined
    workspace.ask("question")  # expect: attr-defined
    print(workspace.documents)  # expect: attr-defined
    workspace.bot("support")  # expect: attr-defined
    workspace.tenants.search("query")  # expect: attr-defined


def no_tenant_as_an_argument(workspace: minirag.Workspace, session: minirag.TenantSession, bot: minirag.Bot) -> None:
    workspace.tenant(tenant_id="acme")  # expect: call-arg
    session.search("query", tenant_id="acme")  # expect: call-arg
    session.search("query", tenant="acme")  # expect: call-arg
    bot.search("query", tenant_id="acme")  # expect: call-arg
    bot.ask("question", tenant_id="acme")  # expect: call-arg
    bot.add("file", tenant_id="acme")  # expect: call-arg
    bot.documents.list(tenant_id="acme")  # expect: call-arg
    bot.sources.add("file", tenant_id="acme")  # expect: call-arg
    bot.chat(tenant_id="acme")  # expect: call-arg
    session.usage.total(tenant_id="acme")  # expect: call-arg


def no_positional_options(bot: minirag.Bot) -> None:
    bot.search("query", 5)  # expect: call-arg
    bot.ask("question", 5)  # expect: call-arg
    bot.documents.get("key", "inline")  # expect: call-arg
    bot.sources.add("file", "text")  # expect: call-arg
    minirag.Workspace.open("kb", "sqlalchemy")  # expect: call-arg
    minirag.DocumentInput("text")  # expect: call-arg


def no_wrong_values(bot: minirag.Bot) -> None:
    bot.search("query", mode="bogus")  # expect: arg-type
    bot.search(5)  # expect: arg-type
    bot.search("query", k="5")  # expect: arg-type
    bot.search_many("one query", where=5)  # expect: arg-type
    bot.open("citation")  # expect: arg-type
    bot.evaluate({"q": 5}, {})  # expect: dict-item
    minirag.Workspace.open("kb", durability="bogus")  # expect: arg-type
    minirag.Workspace.open("kb", embedder=5)  # expect: arg-type
    minirag.DocumentInput(text=5)  # expect: arg-type


async def no_mixing_of_the_faces(
    bot: minirag.Bot, abot: minirag.AsyncBot, workspace: minirag.Workspace, citation: minirag.AsyncCitation
) -> None:
    await bot.search("query")  # expect: misc
    await bot.ask("question")  # expect: misc
    print(abot.search("query").trace)  # expect: attr-defined
    print(abot.ask("question").text)  # expect: attr-defined
    await abot.stream("question")  # expect: misc
    for _ in abot.stream("question"):  # expect: attr-defined
        pass
    async with workspace:  # expect: attr-defined
        pass
    with minirag.AsyncWorkspace.open("kb"):  # expect: attr-defined
        pass
    if not citation.verify():  # expect: truthy-bool
        pass


class Incomplete(Embedder):
    @property
    def space(self) -> EmbeddingSpace:
        return EmbeddingSpace(provider="mine", model="v1", dimension=3)


Incomplete()  # expect: abstract
EmbeddingSpace(provider="mine", model="v1")  # expect: call-arg
