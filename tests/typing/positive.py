"""What a type checker must know of the public face. `mypy --strict` checks this file; nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, assert_type

import minirag
from minirag.interfaces import LLM, Embedder, EmbeddingSpace, LLMRequest, LLMResponse, TenantScope
from minirag.types import Matrix, Purpose, SearchMode


class MyEmbedder(Embedder):
    """An application's own embedder, as the documentation shows it."""

    def __init__(self, vectors: Matrix) -> None:
        self._vectors = vectors

    @property
    def space(self) -> EmbeddingSpace:
        return EmbeddingSpace(provider="mine", model="v1", dimension=384)

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        return self._vectors[: len(texts)]


class MyLLM(LLM):
    """An application's own model."""

    @property
    def name(self) -> str:
        return "mine"

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text=request.question)


def workspaces(embedder: MyEmbedder, llm: MyLLM) -> None:
    """Every way to open a workspace."""
    with minirag.Workspace.open("kb") as entered:
        assert_type(entered, minirag.Workspace)
    workspace = minirag.Workspace.open(
        Path("kb"),
        embedder=embedder,
        llm=llm,
        reranker={"provider": "mine", "options": {"model": "x"}},
        secret_key=minirag.generate_secret_key(),
        durability="full",
        url_policy={"allow": ["127.0.0.1:8000"]},
        plugins=["mine"],
        read_only=True,
    )
    assert_type(minirag.Workspace.from_config({"location": "kb"}), minirag.Workspace)
    assert_type(minirag.Workspace.from_env(), minirag.Workspace)
    assert_type(workspace.tenants.create("acme", "Acme"), minirag.Tenant)
    assert_type(workspace.tenants.list(), Sequence[minirag.Tenant])
    assert_type(workspace.tenants.update("acme", name="Acme"), minirag.Tenant)
    assert_type(workspace.tenants.delete("acme"), None)
    made = workspace.tenants.bootstrap("acme", None, "ann@example.com", "a long password")
    assert_type(made.token, str | None)
    assert_type(workspace.login("acme", "ann@example.com", "a long password").issue_token(), minirag.ApiToken)
    session = workspace.tenant("acme", create=True)
    assert_type(session.users.create("bob@example.com", "a long password", "admin"), minirag.User)
    assert_type(session.users.list(), Sequence[minirag.User])
    assert_type(session.tokens.create(made.owner, scope="write", bot=session.bot("b")).token, str | None)
    assert_type(session.tokens.revoke_all("bob@example.com"), int)
    assert_type(workspace.authenticate("mrag_").principal.role, Literal["owner", "admin", "member"] | None)
    assert_type(session, minirag.TenantSession)
    assert_type(session.tenant, minirag.Tenant)
    assert_type(session.bot("support"), minirag.Bot)
    assert_type(session.bot("support", create=True, llm=llm, embedder="minilm", system_prompt="x"), minirag.Bot)
    assert_type(session.bots.list(), Sequence[minirag.BotProfile])
    assert_type(session.search("query", k=5), minirag.SearchResults)
    assert_type(session.usage.total(), minirag.UsageTotal)
    assert_type(session.usage.events(), Iterator[minirag.UsageEvent])
    assert_type(session.usage.limits(), minirag.LimitsUse)
    assert_type(session.audit.events(action="bot.created"), Iterator[minirag.AuditEvent])


def bots(bot: minirag.Bot, scope: TenantScope, mode: SearchMode) -> None:
    """Everything one does with a bot."""
    assert_type(bot.profile, minirag.BotProfile)
    assert_type(bot.update(system_prompt="x"), minirag.BotProfile)
    document = minirag.DocumentInput(text="x", key="k", title="t", metadata={"year": 2024, "tags": ["a"]})
    assert_type(bot.add("a.pdf", Path("docs"), document, [document], iter([document])), minirag.IngestReport)
    assert_type(bot.add(document, source="notes", progress=lambda step: print(step.done)), minirag.IngestReport)
    assert_type(bot.ingest(progress=False), minirag.IngestReport)
    results = bot.search("query", k=5, where={"year": {"$gte": 2020}}, mode=mode, exact=True)
    assert_type(results, minirag.SearchResults)
    assert_type(results[0], minirag.Hit)
    assert_type(results[:2], minirag.SearchResults)
    assert_type(results.trace, minirag.SearchTrace | None)
    assert_type([hit.score for hit in results], list[float])
    assert_type(results[0].page, int | None)
    assert_type(results[0].ranks, dict[str, minirag.RetrieverRank])
    assert_type(bot.search_many(["a", "b"], mode="dense"), list[minirag.SearchResults])
    answer = bot.ask("question", k=3)
    assert_type(answer, minirag.Answer)
    assert_type(answer.citations, tuple[minirag.Citation, ...])
    assert_type(answer.citations[0].verify(), bool)
    assert_type(answer.citations[0].open(before=10), str)
    assert_type(answer.usage + answer.usage, minirag.Usage)
    assert_type(answer.chat_id, str | None)
    for event in bot.stream("question"):
        assert_type(event, minirag.AnswerEvent)
        assert_type(event.type, Literal["sources", "delta", "citation", "usage", "done", "error"])
        assert_type(event.error, Exception | None)
    assert_type(bot.stream("question"), Generator[minirag.AnswerEvent, None, None])
    chat = bot.chat()
    assert_type(chat, minirag.Chat)
    assert_type(chat.send("question"), minirag.Answer)
    assert_type(chat.messages, Sequence[minirag.Message])
    assert_type(bot.chats.list(), Iterator[minirag.ChatRecord])
    assert_type(bot.open(answer.citations[0], 10, 10), str)
    assert_type(bot.stats(), minirag.BotStats)
    assert_type(bot.evaluate({"q": "text"}, {"q": {"key": 1}}), minirag.EvaluationReport)
    source = bot.sources.add("https://example.com/", name="site", metadata={"lang": "en"}, refresh=3600)
    assert_type(source, minirag.Source)
    assert_type(bot.sources.ingest(source), minirag.IngestReport)
    assert_type(bot.sources.remove("site"), int)
    assert_type(bot.documents.get("key"), minirag.Document)
    assert_type(bot.documents.list(where={"lang": "en"}), Iterator[minirag.Document])
    assert_type(bot.documents.text("key", version_id="v"), str)
    assert_type(bot.documents.versions("key"), Sequence[minirag.DocumentVersion])
    assert_type(bot.documents.remove("a", "b"), int)
    assert_type(bot.documents.remove("a", erase=True, chats="keep"), minirag.ErasureReceipt)
    assert_type(bot.sources.remove("site", erase=True), minirag.ErasureReceipt)
    assert_type(bot.delete(erase=True), minirag.ErasureReceipt)
    assert_type(bot.documents.count(source=source), int)
    assert_type(scope.tenant_id, str)


async def asynchronous(embedder: MyEmbedder) -> None:
    """The same names, awaited."""
    async with minirag.AsyncWorkspace.open("kb", embedder=embedder, read_only=True) as entered:
        assert_type(entered, minirag.AsyncWorkspace)
    workspace = await minirag.AsyncWorkspace.open("kb")
    assert_type(workspace, minirag.AsyncWorkspace)
    assert_type(await workspace.tenants.update("acme", new_slug="acme-2"), minirag.Tenant)
    session = await workspace.tenant("acme", create=True)
    assert_type(session, minirag.AsyncTenantSession)
    bot = await session.bot("support")
    assert_type(bot, minirag.AsyncBot)
    assert_type(await session.search("query"), minirag.SearchResults)
    assert_type(bot.profile, minirag.BotProfile)
    assert_type(await bot.add("docs/"), minirag.IngestReport)
    assert_type(await bot.search("query", mode="keyword"), minirag.SearchResults)
    answer = await bot.ask("question")
    assert_type(answer.citations, tuple[minirag.AsyncCitation, ...])
    assert_type(await answer.citations[0].verify(), bool)
    assert_type(await answer.citations[0].open(after=5), str)
    assert_type(await bot.open(answer.citations[0]), str)
    async for event in bot.stream("question"):
        assert_type(event.text, str | None)
        assert_type(event.citation, minirag.AsyncCitation | None)
    stream = bot.stream("question")
    assert isinstance(stream, AsyncGenerator)
    await stream.aclose()
    chat = await bot.chat()
    assert_type(chat, minirag.AsyncChat)
    assert_type([message.role for message in await chat.messages()], list[Literal["user", "assistant"]])
    assert_type(bot.documents.list(), AsyncIterator[minirag.Document])
    assert_type(await bot.sources.update("site", name="x", refresh=None), minirag.Source)
    assert_type(await session.usage.total(bot=bot), minirag.UsageTotal)
    await workspace.close()


def errors(problem: minirag.errors.ProviderRateLimitError, report: minirag.IngestReport) -> None:
    """What errors carry."""
    assert_type(problem.retry_after, float | None)
    assert_type(problem.retryable, bool)
    root: minirag.MiniRAGError = problem
    assert_type(root.args, tuple[Any, ...])
    assert_type(report.counts, dict[str, int])
    assert_type(report.added, tuple[minirag.IngestEntry, ...])
    assert_type(report.ok, bool)
