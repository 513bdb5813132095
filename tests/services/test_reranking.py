"""Reranking in the ledger and under budgets: each call that costs is a row, and none is made that there is no room for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag import DocumentInput
from minirag.errors import BudgetExceededError, ProviderConnectionError, ReadOnlyWorkspaceError
from minirag.interfaces import Reranker

PRICES = {"tests:closer": {"input": 2}}
QUERY = "a red kettle"


class Closer(Reranker):
    """Prefers long texts, counts what it is asked as a vendor does for the bill, and costs something."""

    name = "tests:closer"
    metered = True

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls: list[int] = []
        self.read = 0
        self.fails = False

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        with self.lock:
            self.calls.append(len(texts))
            if self.fails:
                raise ProviderConnectionError("cannot be reached", provider="tests")
            self.read += len(texts) * len(query.split()) + sum(len(text.split()) for text in texts)
        return [float(len(text)) for text in texts]

    def count_tokens(self, query: str, texts: Sequence[str]) -> int:
        return len(texts) * len(query.split()) + sum(len(text.split()) for text in texts)


@pytest.fixture
def closer() -> Closer:
    """A reranker that counts."""
    return Closer()


@pytest.fixture
def bot(tmp_path: Path, closer: Closer) -> Iterator[minirag.Bot]:
    """A bot with the reranker and five texts of 3 to 7 words; its tenant is `acme`."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing", reranker=closer, prices=PRICES) as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(DocumentInput(text="kettle " + "red " * number, key=f"k{number}") for number in range(2, 7))
        yield bot


@pytest.fixture
def limit(tmp_path: Path) -> Callable[..., None]:
    """Give the tenant limits, as the application does."""

    def given(**limits: Any) -> None:
        with minirag.Workspace.open(tmp_path / "kb", embedder="hashing") as workspace:
            workspace.tenants.update("acme", limits=limits)

    return given


def rows(bot: minirag.Bot) -> list[minirag.UsageEvent]:
    """Return the tenant's ledger, oldest first."""
    with bot._context.core.storage.read(bot._context.scope) as reader:
        return reader.usage_events(limit=10_000)[::-1]


def test_each_call_is_a_row_with_the_rerankers_own_count(bot: minirag.Bot, closer: Closer) -> None:
    """At its price, and with nothing reserved any more; the order is the reranker's as before."""
    assert [hit.key for hit in bot.search(QUERY, k=2)] == ["k6", "k5"]
    (row,) = rows(bot)
    assert (row.kind, row.provider, row.model, row.status) == ("rerank", "tests", "closer", "done")
    assert (row.input_tokens, row.output_tokens, row.reserved_tokens) == (closer.read, 0, None)
    assert row.input_tokens == 5 * 3 + (3 + 4 + 5 + 6 + 7)
    assert row.cost == Decimal(2 * closer.read) / 10**6


def test_what_is_more_than_one_request_is_as_many_rows(bot: minirag.Bot, closer: Closer) -> None:
    """Where a reranker says how many texts go in one, no call has more, and the scores stay with their texts."""
    whole = [(hit.key, hit.score) for hit in bot.search(QUERY, k=5)]
    closer.batch_size = 2
    closer.calls.clear()
    assert [(hit.key, hit.score) for hit in bot.search(QUERY, k=5)] == whole
    assert closer.calls == [2, 2, 1]
    assert len(rows(bot)) == 1 + 3
    assert sum(row.input_tokens for row in rows(bot)) == closer.read


def test_what_costs_nothing_is_not_in_the_ledger(bot: minirag.Bot, closer: Closer, limit: Callable[..., None]) -> None:
    """Nor held up by a budget: a reranker of one's own is in no ledger unless it says that it costs something."""
    closer.metered = False
    limit(requests={"total": 1}, cost={"total": "0.000001"})
    for _ in range(3):
        assert bot.search(QUERY, k=1)[0].key == "k6"
    assert rows(bot) == []
    assert Reranker.metered is False


def test_a_call_that_the_budget_has_no_room_for_is_not_made(
    bot: minirag.Bot, closer: Closer, limit: Callable[..., None]
) -> None:
    """By requests, tokens and cost; it is reserved before the reranker is asked."""
    bot.search(QUERY)
    used = closer.read
    for limits in (
        {"requests": {"day": 1}},
        {"tokens": {"month": 2 * used - 1}},
        {"cost": {"total": Decimal(4 * used - 1) / 10**6}},
    ):
        limit(**limits)
        with pytest.raises(BudgetExceededError) as problem:
            bot.search(QUERY)
        assert str(problem.value.limit).startswith(next(iter(limits)))
    assert len(closer.calls) == len(rows(bot)) == 1
    limit(requests={"day": 2}, tokens={"month": 2 * used}, cost={"total": Decimal(4 * used) / 10**6})
    bot.search(QUERY)
    assert len(closer.calls) == 2


def test_under_a_limit_of_cost_a_reranker_without_a_price_is_not_called(
    tmp_path: Path, bot: minirag.Bot, closer: Closer, limit: Callable[..., None]
) -> None:
    """Without one, its calls have no cost."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing", reranker=closer) as unpriced:
        other = unpriced.tenant("acme").bot("support")
        other.search(QUERY)
        assert [row.cost for row in rows(other)] == [None]
        limit(cost={"month": 5})
        with pytest.raises(BudgetExceededError, match="tests:closer costs is not known"):
            other.search(QUERY)
        assert len(closer.calls) == 1


def test_searches_at_once_spend_no_more_than_there_is(
    bot: minirag.Bot, closer: Closer, limit: Callable[..., None]
) -> None:
    """Of twelve at one time five are made, where five are allowed."""
    limit(requests={"day": 5})

    def search(_: int) -> bool:
        try:
            bot.search(QUERY)
        except BudgetExceededError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(search, range(12)))
    assert sum(made) == len(closer.calls) == len(rows(bot)) == 5


def test_a_call_that_fails_is_closed(bot: minirag.Bot, closer: Closer, limit: Callable[..., None]) -> None:
    """As failed and without cost, with the tokens that were reserved given back."""
    closer.fails = True
    with pytest.raises(ProviderConnectionError):
        bot.search(QUERY)
    (row,) = rows(bot)
    assert (row.status, row.input_tokens, row.reserved_tokens, row.cost) == ("failed", 0, None, 0)
    closer.fails = False
    limit(tokens={"day": closer.count_tokens(QUERY, ["kettle " + "red " * n for n in range(2, 7)])})
    bot.search(QUERY)


def test_every_bot_of_a_search_over_all_is_counted(bot: minirag.Bot, tmp_path: Path, closer: Closer) -> None:
    """And a question's search, and one of many."""
    bot.search_many([QUERY, QUERY])
    bot.ask(QUERY)
    assert [(row.kind, row.bot_id) for row in rows(bot)] == [("rerank", bot.id)] * 3
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing", reranker=closer) as workspace:
        session = workspace.tenant("acme")
        session.bot("other", create=True).add(DocumentInput(text="A red kettle.", key="k"))
        session.search(QUERY)
        assert len(rows(bot)) == 5
        assert len({row.bot_id for row in rows(bot)}) == 2


def test_where_nothing_can_be_entered_budgets_hold_the_call(
    bot: minirag.Bot, tmp_path: Path, closer: Closer, limit: Callable[..., None]
) -> None:
    """A read-only workspace reranks, but not for a tenant with a budget, which the call would pass by."""
    with minirag.Workspace.open(tmp_path / "kb", embedder="hashing", reranker=closer, read_only=True) as reading:
        reader = reading.tenant("acme").bot("support")
        assert reader.search(QUERY, k=1)[0].key == "k6"
        assert rows(bot) == []
        limit(requests={"day": 5})
        with pytest.raises(ReadOnlyWorkspaceError):
            reader.search(QUERY)
    assert len(closer.calls) == 1


def test_awaited_it_is_the_same(bot: minirag.Bot, tmp_path: Path, closer: Closer, limit: Callable[..., None]) -> None:
    """Rows, order and budgets."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder="hashing", reranker=closer) as ws:
            other = await (await ws.tenant("acme")).bot("support")
            assert [hit.key for hit in await other.search(QUERY, k=2)] == ["k6", "k5"]
            limit(requests={"day": 1})
            with pytest.raises(BudgetExceededError):
                await other.search(QUERY)

    asyncio.run(main())
    (row,) = rows(bot)
    assert (row.status, row.input_tokens) == ("done", closer.read)


def test_the_estimate_counts_the_query_with_each_text() -> None:
    """As those vendors do that bill tokens."""

    class Plain(Closer):
        count_tokens = Reranker.count_tokens

    plain = Plain()
    assert plain.count_tokens("what is it", ["one two", "three"]) == 2 * 3 + 2 + 2
    assert plain.count_tokens("what is it", []) == 0
