"""The ledger and what it holds: it equals the provider's own count, however a call ends, and no budget is overshot."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minirag
from minirag import DocumentInput
from minirag._services.ledger import Ledger
from minirag.errors import BudgetExceededError, ProviderConnectionError, ProviderError, ReadOnlyWorkspaceError
from minirag.interfaces import LLM, LLMChunk, LLMRequest, LLMResponse, TokenUsage
from minirag.models.limits import window_of
from minirag.types import utc_now
from tests.servers.postgres_server import PostgresServer
from tests.services.conftest import CountingEmbedder

FACTS = "The kettle is red. It boils in two minutes. The teapot is blue and holds one litre."
PRICES = {"tests:*": {"input": 0.3, "output": "2.5"}}
ENDS = ("ask", "stream", "leave", "fail", "break", "leave at once")


class CountingModel(LLM):
    """Counts what it is asked and what it writes, as a vendor does for the bill, and tells it as it goes."""

    name = "tests:counting"

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.calls = 0
        self.read = 0
        self.written = 0
        self.fails = False
        self.breaks_after: int | None = None
        self.tells = True
        self.gate = threading.Event()
        self.gate.set()

    def _begin(self, request: LLMRequest) -> int:
        with self.lock:
            self.calls += 1
        if self.fails:
            raise ProviderConnectionError("cannot be reached", provider="tests")
        sent = sum(self.count_tokens(message.content) for message in request.messages)
        with self.lock:
            self.read += sent
        return sent

    def generate(self, request: LLMRequest) -> LLMResponse:
        sent = self._begin(request)
        self.gate.wait(30)
        with self.lock:
            self.written += 7
        return LLMResponse(text="The kettle is red [1].", usage=TokenUsage(sent, 7) if self.tells else TokenUsage())

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        sent = self._begin(request)
        for number, piece in enumerate(("The ", "kettle ", "is ", "red ", "[1]."), 1):
            if self.breaks_after == number:
                raise ProviderConnectionError("cut off", provider="tests")
            with self.lock:
                self.written += 1
            yield LLMChunk(text=piece, usage=TokenUsage(sent, number) if self.tells else None)
        yield LLMChunk(finish_reason="stop")


@pytest.fixture
def model() -> CountingModel:
    """A model that counts."""
    return CountingModel()


@pytest.fixture
def spender(tmp_path: Path, embedder: CountingEmbedder, model: CountingModel) -> Iterator[minirag.Bot]:
    """A bot that knows the facts, with a model that counts; its tenant is `acme`."""
    with minirag.Workspace.open(tmp_path / "kb", embedder=embedder, llm=model, prices=PRICES) as workspace:
        bot = workspace.tenant("acme", create=True).bot("b", create=True)
        bot.add(DocumentInput(text=FACTS, key="facts"))
        yield bot


@pytest.fixture
def workspace_of(tmp_path: Path, embedder: CountingEmbedder, model: CountingModel) -> Callable[..., minirag.Workspace]:
    """Open the spender's workspace once more."""
    return lambda **options: minirag.Workspace.open(tmp_path / "kb", embedder=embedder, llm=model, **options)


def limit(bot: minirag.Bot, **limits: Any) -> None:
    """Give the bot's tenant limits, as the application does."""
    context = bot._context
    from minirag.models.limits import Limits

    with context.core.storage.directory(write=True) as directory:
        tenant = directory.tenant("acme")
        assert tenant is not None
        directory.put_limits(tenant, Limits(**limits))


def events(bot: minirag.Bot) -> list[minirag.UsageEvent]:
    """Return the tenant's ledger, oldest first."""
    with bot._context.core.storage.read(bot._context.scope) as reader:
        return reader.usage_events(limit=10_000)[::-1]


def end(bot: minirag.Bot, model: CountingModel, how: str) -> None:
    """Make one call that ends so."""
    model.fails, model.breaks_after = how == "fail", 3 if how == "break" else None
    question = "What colour is the kettle?"
    if how == "ask":
        bot.ask(question)
    elif how == "fail":
        with pytest.raises(ProviderError):
            bot.ask(question)
    else:
        stream = bot.stream(question)
        for event in stream:
            if event.type == "sources" and how == "leave at once":
                break
            if event.type == "delta" and how == "leave":
                break
        stream.close()


# --------------------------------------------------------------------------------------------------------- P8: exact
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hows=st.lists(st.sampled_from(ENDS), max_size=6))
def test_the_ledger_equals_the_providers_count(spender: minirag.Bot, model: CountingModel, hows: list[str]) -> None:
    """However calls end, the ledger holds one closed row for each, with the tokens that the provider counted."""
    for how in hows:
        end(spender, model, how)
    rows = events(spender)
    assert len(rows) == model.calls
    assert {row.status for row in rows} <= {"done", "failed", "cancelled"}
    assert sum(row.input_tokens for row in rows) == model.read
    assert sum(row.output_tokens for row in rows) == model.written
    assert all(row.finished_at is not None and row.reserved_tokens is None for row in rows), "a reservation was kept"
    for row in rows:
        assert row.cost == (Decimal("0.3") * row.input_tokens + Decimal("2.5") * row.output_tokens) / 10**6


def test_each_end_has_its_status(spender: minirag.Bot, model: CountingModel) -> None:
    """`done`, `cancelled` and `failed` are told apart; a stream left before the model was asked is no call."""
    for how in ENDS:
        end(spender, model, how)
    assert [row.status for row in events(spender)] == ["done", "done", "cancelled", "failed", "failed"]


def test_embedding_calls_are_counted_as_the_embedder_counts(tmp_path: Path) -> None:
    """A metered embedder's rows hold its own count of what it was sent, at its price; a query is a row too."""
    embedder = CountingEmbedder()
    embedder.metered = True
    with minirag.Workspace.open(
        tmp_path / "kb", embedder=embedder, prices={"tests:counting": {"input": 2}}
    ) as workspace:
        session = workspace.tenant("acme", create=True)
        bot = session.bot("b", create=True)
        bot.add(DocumentInput(text=f"Text number {number}.", key=str(number)) for number in range(20))
        bot.search("a number")
        sent = sum(map(embedder.count_tokens, [*embedder.documents, *embedder.queries]))
        total = session.usage.total()
        assert [(row.kind, row.input_tokens, row.output_tokens) for row in total.rows] == [("embedding", sent, 0)]
        assert total.cost == Decimal(2 * sent) / 10**6


def test_what_was_never_told_is_unknown_and_counts_with_what_was_sent(
    spender: minirag.Bot, model: CountingModel
) -> None:
    """A call whose provider told nothing has no cost, never 0, and counts against budgets with the prompt's estimate."""
    model.tells = False
    for how in ("ask", "leave", "break", "fail"):
        end(spender, model, how)
    *untold, failed = events(spender)
    for row in untold:
        assert row.cost is None
        assert row.reserved_tokens is not None
        assert row.reserved_tokens > 50
        assert row.reserved_cost == Decimal("0.3") * row.reserved_tokens / 10**6
    assert (failed.cost, failed.reserved_tokens) == (0, None), "a server that was not reached costs nothing"


# ------------------------------------------------------------------------------------------------------ P8: hard budgets
@pytest.mark.parametrize("faces", ["threads", "tasks"])
def test_many_at_once_make_exactly_as_many_calls_as_there_is_room_for(
    spender: minirag.Bot, model: CountingModel, tmp_path: Path, embedder: CountingEmbedder, faces: str
) -> None:
    """64 callers against a budget of 10 calls make 10; the others are refused before anything is sent."""
    limit(spender, requests={"day": 10})
    if faces == "threads":

        def ask(_: int) -> bool:
            try:
                return bool(spender.ask("What colour is the kettle?").text)
            except BudgetExceededError:
                return False

        with ThreadPoolExecutor(64) as pool:
            made = sum(pool.map(ask, range(64)))
    else:

        async def ask_all() -> int:
            async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder=embedder, llm=model) as workspace:
                bot = await (await workspace.tenant("acme")).bot("b")
                results = await asyncio.gather(
                    *(bot.ask("What colour is the kettle?") for _ in range(64)), return_exceptions=True
                )
            assert all(isinstance(each, BudgetExceededError) for each in results if isinstance(each, BaseException))
            return sum(not isinstance(each, BaseException) for each in results)

        made = asyncio.run(ask_all())
    assert (made, model.calls, len(events(spender))) == (10, 10, 10)


@pytest.mark.parametrize("name", ["tokens", "cost"])
def test_tokens_and_cost_are_reserved_before_they_are_spent(
    spender: minirag.Bot, model: CountingModel, name: str
) -> None:
    """Callers at once never spend more than the budget, though each of them alone would fit."""
    # Each may write 1,024 tokens and is sent some 250: two of them fit beside each other, as long as both run.
    limit(spender, **{name: {"total": {"tokens": 3_000, "cost": Decimal("0.0065")}[name]}})
    refused, model.gate = threading.Semaphore(0), threading.Event()

    def ask(_: int) -> bool:
        try:
            return bool(spender.ask("What colour is the kettle?").text)
        except BudgetExceededError:
            refused.release()
            return False

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, number) for number in range(8)]
        for _ in range(6):
            assert refused.acquire(timeout=30), "more calls were made than there was room for"
        model.gate.set()
        assert sum(answer.result() for answer in answers) == 2
    assert ask(0), "what was reserved and not used is not free again"


def test_processes_do_not_overshoot(spender: minirag.Bot, tmp_path: Path) -> None:
    """Two processes that each want ten calls make ten together."""
    limit(spender, requests={"total": 10})
    code = f"""
import minirag
from minirag._services.ledger import Ledger
from minirag.errors import BudgetExceededError
with minirag.Workspace.open({str(tmp_path / "kb")!r}, embedder="hashing") as workspace:
    ledger, made = Ledger(workspace.tenant("acme").bot("b")._context), 0
    for _ in range(10):
        try:
            with ledger.call("llm", provider="tests", model="m", metered=True):
                made += 1
        except BudgetExceededError:
            pass
    print(made)
"""
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    made = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(made) == 10
    assert len(events(spender)) == 10


def test_a_server_does_not_overshoot_either(postgres: PostgresServer, tmp_path: Path) -> None:
    """On PostgreSQL, two workspaces with eight threads each make as many calls as there is room for, and cost is exact."""
    url = postgres.new_database()
    options: dict[str, Any] = {
        "embedder": "hashing",
        "cache_dir": tmp_path,
        "secret_key": minirag.generate_secret_key(),
    }
    with (
        minirag.Workspace.open(url, prices=PRICES, **options) as first,
        minirag.Workspace.open(url, **options) as second,
    ):
        first.tenant("acme", create=True).bot("b", create=True)
        first.tenants.update("acme", limits={"requests": {"month": 10}})

        def call(number: int) -> bool:
            ledger = Ledger((first, second)[number % 2].tenant("acme").bot("b")._context)
            try:
                with ledger.call("llm", provider="tests", model="m", metered=True, at_most=TokenUsage(9, 9)) as entered:
                    entered.usage = TokenUsage(3, 1)
            except BudgetExceededError:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(call, range(32))) == 10
        total = first.tenant("acme").usage.total()
        assert (total.rows[0].calls, total.rows[0].input_tokens) == (10, 30)
        priced = 10 - total.unpriced
        assert total.cost == (Decimal("0.3") * 3 + Decimal("2.5")) * priced / 10**6 if priced else total.cost is None


def test_a_day_and_a_month_end(spender: minirag.Bot, model: CountingModel) -> None:
    """A window that is full says when it begins anew, and does; one without end says that waiting is of no use."""
    core = spender._context.core
    core.clock = lambda: dt.datetime(2026, 1, 31, 23, 59, tzinfo=dt.UTC)
    for window, resets_at in (
        ("day", dt.datetime(2026, 2, 1, tzinfo=dt.UTC)),
        ("month", dt.datetime(2026, 2, 1, tzinfo=dt.UTC)),
        ("total", None),
    ):
        limit(spender)
        spender.ask("What colour is the kettle?")
        used = len(events(spender))
        limit(spender, requests={window: used})
        with pytest.raises(BudgetExceededError, match=f"requests .*{window if resets_at else 'in all'}") as caught:
            spender.ask("What colour is the kettle?")
        problem = caught.value
        assert (problem.value, problem.used, problem.resets_at) == (used, used, resets_at)
        assert problem.retryable is (resets_at is not None)
    core.clock = lambda: dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    limit(spender, requests={"day": 1, "month": 1})
    spender.ask("What colour is the kettle?")
    with pytest.raises(BudgetExceededError):
        spender.ask("What colour is the kettle?")


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        ("2026-02-27T23:59:59+00:00", "2026-02-28", "2026-03-01"),
        ("2028-02-29T00:00:00+00:00", "2028-03-01", "2028-03-01"),
        ("2026-12-31T12:00:00+00:00", "2027-01-01", "2027-01-01"),
        ("2026-04-30T22:00:00-05:00", "2026-05-02", "2026-06-01"),
    ],
)
def test_windows_are_those_of_the_calendar(now: str, day: str, month: str) -> None:
    """Days and months of whatever length end at midnight UTC, whatever the time zone of the clock."""
    moment = dt.datetime.fromisoformat(now)
    for window, end in (("day", day), ("month", month)):
        began, ends = window_of(window, moment)  # type: ignore[arg-type]  # one of the windows
        assert began is not None
        assert ends == dt.datetime.fromisoformat(f"{end}T00:00:00+00:00")
        assert began <= moment < ends
    assert window_of("total", moment) == (None, None)


def test_a_call_larger_than_the_budget_is_not_to_be_tried_again(spender: minirag.Bot) -> None:
    """Where no window will ever have room for the call, it is not retryable."""
    limit(spender, tokens={"day": 100})
    with pytest.raises(BudgetExceededError, match="tokens a day") as caught:
        spender.ask("What colour is the kettle?")
    assert not caught.value.retryable


def test_a_process_that_died_frees_what_it_reserved(spender: minirag.Bot, model: CountingModel) -> None:
    """A call that was never closed keeps its reservation for an hour, and its request for good."""
    core, began = spender._context.core, utc_now()
    call = Ledger(spender._context).call(
        "llm", provider="tests", model="m", metered=True, at_most=TokenUsage(9_000, 1_000)
    )
    call.__enter__()  # and never left: as a killed process leaves it
    limit(spender, tokens={"total": 10_000})
    with pytest.raises(BudgetExceededError):
        spender.ask("What colour is the kettle?")
    core.clock = lambda: began + dt.timedelta(hours=1, minutes=1)
    assert spender.ask("What colour is the kettle?").text
    limit(spender, requests={"total": 2})
    with pytest.raises(BudgetExceededError):
        spender.ask("What colour is the kettle?")
    call.__exit__(None, None, None)


def test_a_model_without_a_price_is_not_called_under_a_limit_of_cost(
    spender: minirag.Bot, model: CountingModel, workspace_of: Callable[..., minirag.Workspace]
) -> None:
    """An unknown price cannot be held to a limit; a price of 0 can."""
    limit(spender, cost={"month": 1})
    for prices, calls in (({"other:*": {"input": 1}}, 0), ({"tests:*": {"input": 0, "output": 0}}, 1)):
        with workspace_of(prices=prices) as workspace:
            bot = workspace.tenant("acme").bot("b")
            if calls:
                bot.ask("What colour is the kettle?")
            else:
                with pytest.raises(BudgetExceededError, match="prices=") as caught:
                    bot.ask("What colour is the kettle?")
                assert not caught.value.retryable
        assert model.calls == calls


def test_deleting_a_bot_gives_nothing_back(spender: minirag.Bot, model: CountingModel) -> None:
    """What a deleted bot spent stays spent."""
    spender.ask("What colour is the kettle?")
    limit(spender, requests={"total": 1})
    context = spender._context
    spender.delete()
    with context.core.storage.read(context.scope) as reader:
        assert reader.spent(since=None, alive_since=utc_now()).requests == 1


def test_budgets_hold_where_nothing_can_be_written(
    spender: minirag.Bot, model: CountingModel, workspace_of: Callable[..., minirag.Workspace]
) -> None:
    """A read-only workspace, which cannot enter calls, makes none for a tenant with budgets."""
    with workspace_of(read_only=True) as workspace:
        assert workspace.tenant("acme").bot("b").ask("What colour is the kettle?").text
    limit(spender, requests={"total": 100})
    with workspace_of(read_only=True) as workspace, pytest.raises(ReadOnlyWorkspaceError, match="requests"):
        workspace.tenant("acme").bot("b").ask("What colour is the kettle?")
    assert model.calls == 1


def test_a_stream_without_room_ends_in_an_error(spender: minirag.Bot, model: CountingModel) -> None:
    """A stream tells its sources, then the budget's error, and the model is not called."""
    limit(spender, requests={"total": 0})
    *_, last = spender.stream("What colour is the kettle?")
    assert last.type == "error"
    assert isinstance(last.error, BudgetExceededError)
    assert model.calls == 0


def test_used_and_left_are_told(spender: minirag.Bot, model: CountingModel) -> None:
    """`tenant.usage.limits()` says how much of each limit is used, and when it begins anew."""
    spender.ask("What colour is the kettle?")
    limit(spender, documents=5, requests={"day": 3}, cost={"month": Decimal("0.01")})
    with spender._context.core.storage.read(spender._context.scope) as reader:
        from minirag._services.limits import uses

        found = uses(reader, utc_now())
    documents, requests, cost = found.rows
    assert (documents.name, documents.used, documents.left, documents.resets_at) == ("documents", 1, 4, None)
    assert (requests.name, requests.used, requests.left) == ("requests a day", 1, 2)
    assert (cost.name, cost.used + cost.left) == ("cost a month", Decimal("0.01"))
    assert requests.resets_at is not None
    assert "requests a day: 1 of 3" in str(found)
    assert "$0.010000" in found._repr_html_()
