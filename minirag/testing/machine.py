"""`WorkspaceMachine`: a hypothesis state machine that drives two tenants of a workspace beside a nested dictionary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from minirag.errors import (
    ChatNotFoundError,
    DocumentNotFoundError,
    EvidenceGoneError,
    NotFoundError,
    SourceNotFoundError,
    TenantSuspendedError,
)
from minirag.models.answers import Answer
from minirag.testing import machine_strategies as draw
from minirag.testing.machine_erasing import ErasingMachine
from minirag.testing.machine_invariants import (
    check_answer,
    check_bot,
    check_count,
    check_documents,
    check_search,
    check_sources,
    check_versions,
    show,
)
from minirag.testing.machine_listening import check_archive
from minirag.testing.machine_oracle import TENANTS, ExpectedBot, canary, words_of

__all__ = ["WorkspaceMachine", "run_workspace_machine"]

_TENANT = draw.tenants()
_BOT = draw.bots()
_HANDLE = draw.handles()
_LABEL = st.none() | st.sampled_from(("inline", "notes", "files"))
_K = st.sampled_from((1, 2, 3, 5, 8, 1_000))
_KEPT_CITATIONS = 20


def run_workspace_machine(
    machine: type[WorkspaceMachine],
    *,
    programmes: int,
    steps: int = 50,
    derandomize: bool = True,
    shrink: bool = False,
    seed: int | None = None,
) -> None:
    """Drive so many new workspaces through random calls; fail where one differs from the dictionary.

    Args:
        derandomize: run the same programmes each time, those of this machine.
        shrink: look for a shorter programme that fails too, which takes minutes.
        seed: run the programmes of this number, which are the same for every machine, instead.
    """
    if seed is not None:
        seeded(seed)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=programmes,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=derandomize and seed is None,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


class WorkspaceMachine(ErasingMachine):
    """Two tenants with the same names for everything, over one database that up to three workspaces have open.

    Subclass it and override `make_workspace` to drive a workspace of other parts. After each step everything that
    either tenant can list is compared with a dictionary. Whatever comes back to a tenant, errors too, is searched for
    a word that only the other tenant wrote. Each call is made on either face of the workspace. `heard` is every method that was called, such as `"AsyncBot.search"`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._face = False

    @invariant()
    def everything_is_as_expected(self) -> None:
        """Both tenants' lists are those expected, seen from one face and the other in turn."""
        self._face = not self._face
        for tenant in TENANTS if self.handles else ():
            session, expected = self.session(tenant, self._face * len(self.handles)), self.tenants[tenant]
            assert [profile.name for profile in session.bots.list()] == sorted(expected), "other bots are listed"
            for name, model in expected.items():
                check_bot(session.bot(name), model)

    # ---------------------------------------------------------------- search
    @rule(
        tenant=_TENANT,
        name=_BOT,
        handle=_HANDLE,
        query=draw.queries(),
        k=_K,
        where=draw.filters(),
        mode=draw.modes(),
        exact=st.booleans(),
    )
    def search(
        self, *, tenant: str, name: str, handle: int, query: str, k: int, where: Any, mode: str, exact: bool
    ) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            results = bot.search(query, k=k, where=where, mode=mode, exact=exact)
            check_search(results, expected, query=query, k=k, where=where, mode=mode)
            (again,) = bot.search_many([query], k=k, where=where, mode=mode, exact=exact)
            assert show(again) == show(results), "search_many() differs from search()"

    @rule(tenant=_TENANT, handle=_HANDLE, query=draw.queries(), k=_K, where=draw.filters(), mode=draw.modes())
    def search_all_bots(self, *, tenant: str, handle: int, query: str, k: int, where: Any, mode: str) -> None:
        results = self.session(tenant, handle).search(query, k=k, where=where, mode=mode)
        number = 0
        for model in self.tenants[tenant].values():
            chunks = [c for c in model.chunks(where) if mode != "keyword" or c.words & words_of(query)]
            number += len(chunks)
        check_count(results, k, number)

    @rule(query=draw.queries(), k=_K, where=draw.filters())
    def a_fresh_workspace_answers_the_same(self, *, query: str, k: int, where: Any) -> None:
        """An index built anew from the database answers as those that followed its changes."""
        self.open()
        for tenant in TENANTS:
            for name in self.tenants[tenant]:
                fresh, *others = [
                    show(self.session(tenant, handle).bot(name).search(query, k=k, where=where))
                    for handle in reversed(range(2 * len(self.handles)))
                ]
                assert all(other == fresh for other in others), f"{tenant}/{name}: a rebuilt index answers otherwise"
        self.close_last()

    @rule(handle=_HANDLE, deep=st.booleans())
    def nothing_is_wrong(self, *, handle: int, deep: bool) -> None:
        """Whatever was done so far, a check finds no fault."""
        faults = self.workspace(handle).verify(deep=deep).faults
        assert faults == (), f"a check finds faults that nobody made: {faults}"

    @rule(tenant=_TENANT, handle=_HANDLE, query=draw.queries(), where=draw.filters(), sure=st.integers(0, 4))
    def a_moved_tenant_answers_the_same(self, *, tenant: str, handle: int, query: str, where: Any, sure: int) -> None:
        """What is exported and imported under another slug is the same tenant again; then it goes."""
        if sure != 4:
            return
        workspace, other = self.workspace(handle), self.workspace(handle + 1)
        archive = self._root / "moving.minirag"
        workspace.tenants.export(tenant, archive, progress=False)
        others = tuple(canary(rival) for rival in TENANTS if rival != tenant)
        check_archive(archive, forbidden=others)
        try:
            other.tenants.import_(archive, slug="moved", progress=False)
        finally:
            archive.unlink()
        session = self.listening(tenant, other.tenant("moved"))
        for name, model in self.tenants[tenant].items():
            moved, old = session.bot(name), workspace.tenant(tenant).bot(name)
            check_documents(moved.documents.list(), model, list(model.documents))
            check_versions(moved, model)
            check_sources(moved, model)
            for mode in ("dense", "keyword", "hybrid"):
                found = [_ranked(bot.search(query, where=where, mode=mode, exact=True)) for bot in (moved, old)]
                assert found[0] == found[1], f"{tenant}/{name}: a moved bot finds otherwise"
        other.tenants.delete("moved")

    # ---------------------------------------------------------------- listings
    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, where=draw.filters(pages=False), label=_LABEL)
    def list_documents(self, *, tenant: str, name: str, handle: int, where: Any, label: str | None) -> None:
        found = self.bot(tenant, name, handle)
        if found is None:
            return
        bot, expected = found
        if label is not None and label not in expected.sources:
            with pytest.raises(SourceNotFoundError):
                bot.documents.list(source=label)
            return
        source = None if label is None else expected.sources[label].name
        names = expected.names(where, label)
        check_documents(bot.documents.list(source=source, where=where), expected, names)
        assert bot.documents.count(source=source, where=where) == len(names), "count() is wrong"

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE)
    def read_everything(self, *, tenant: str, name: str, handle: int) -> None:
        if found := self.bot(tenant, name, handle):
            check_versions(*found)
            check_sources(*found)
            usage = self.session(tenant, handle).usage
            assert (usage.total(bot=found[0]).rows, usage.events()) == ((), []), "an embedder without a bill has one"
            assert usage.limits().rows == (), "a tenant has limits that nobody set"
            done = self.session(tenant, handle).audit.events(subject=found[0].id)
            assert done[-1].action == "bot.created", "the log does not begin with the bot"
            assert {event.actor for event in done} == {"application"}, "another one than the application did it"

    # ---------------------------------------------------------------- answers
    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, query=draw.queries(), where=draw.filters(), stream=st.booleans())
    def ask(self, *, tenant: str, name: str, handle: int, query: str, where: Any, stream: bool) -> None:
        found = self.bot(tenant, name, handle)
        if found is None:
            return
        bot, expected = found
        if stream:
            events = bot.stream(query, where=where)
            assert [events[0].type, events[-1].type] == ["sources", "done"], f"the stream ended in {events[-1]!r}"
            answer = events[-1].answer
        else:
            answer = bot.ask(query, where=where)
        self._keep(tenant, name, expected, answer)

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, query=draw.queries(), new=st.booleans(), stream=st.booleans())
    def chat(self, *, tenant: str, name: str, handle: int, query: str, new: bool, stream: bool) -> None:
        found = self.bot(tenant, name, handle)
        if found is None or _is_foreign(query, tenant):
            return
        bot, expected = found
        chat = bot.chat() if new or not expected.chats else bot.chat(next(iter(expected.chats)))
        answer = chat.stream(query)[-1].answer if stream else chat.send(query)
        self._keep(tenant, name, expected, answer)
        expected.chats[chat.id] = expected.chats.get(chat.id, 0) + 2
        messages = self.session(tenant, handle + 1).bot(name).chats.get(chat.id).messages
        messages = messages() if callable(messages) else messages
        assert len(messages) == expected.chats[chat.id], "messages are missing"
        assert [messages[-2].text, messages[-1].text] == [query, answer.text], "other messages were stored"

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, directly=st.booleans())
    def delete_chat(self, *, tenant: str, name: str, handle: int, directly: bool) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            chat_id = expected.chats.popitem()[0] if expected.chats else bot.chat().id
            if directly:
                bot.chats.delete(chat_id)
            else:
                bot.chat(chat_id).delete()
            with pytest.raises(ChatNotFoundError):
                bot.chat(chat_id)

    def _keep(self, tenant: str, name: str, expected: ExpectedBot, answer: Answer) -> None:
        check_answer(answer, expected)
        (rival,) = set(TENANTS) - {tenant}
        for other in list(self.tenants[rival])[:1]:
            for citation in answer.citations[:1]:
                with pytest.raises(EvidenceGoneError):
                    self.session(rival).bot(other).open(citation)
        self.cited += [(tenant, name, expected, citation) for citation in answer.citations]
        del self.cited[:-_KEPT_CITATIONS]

    @precondition(lambda self: self.cited)
    @rule(handle=_HANDLE)
    def old_citations_keep_their_evidence(self, *, handle: int) -> None:
        for tenant, name, expected, citation in self.cited:
            bots = self.session(tenant, handle)
            if self.tenants[tenant].get(name) is expected:
                assert bots.bot(name).open(citation) == citation.quote, "a citation lost its evidence"
            elif self.tenants[tenant]:
                with pytest.raises(EvidenceGoneError):
                    bots.bot(min(self.tenants[tenant])).open(citation)

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE)
    def evaluate(self, *, tenant: str, name: str, handle: int) -> None:
        if (found := self.bot(tenant, name, handle)) and found[1].documents:
            key = next(iter(found[1].documents))[1]
            report = found[0].evaluate({"q": "kettle"}, {"q": {key: 1}})
            assert all(0 <= value <= 1 for values in report.metrics.values() for value in values.values())

    # ---------------------------------------------------------------- what must not be
    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE)
    def foreign_ids_are_missing_ids(self, *, tenant: str, name: str, handle: int) -> None:
        """Whatever names something of the other tenant raises what a name of nothing raises."""
        found = self.bot(tenant, name, handle)
        if found is None:
            return
        bot = found[0]
        (rival,) = set(TENANTS) - {tenant}
        for other, model in self.tenants[rival].items():
            theirs = self.session(rival, handle).bot(other)
            for source in theirs.sources.list()[:2]:
                _refuses(SourceNotFoundError, bot.sources.get, source.id)
                _refuses(SourceNotFoundError, bot.sources.remove, source.id)
            for document in theirs.documents.list()[:2]:
                _refuses(DocumentNotFoundError, lambda it: bot.documents.text("a", version_id=it), document.version_id)
            for chat_id in model.chats:
                _refuses(ChatNotFoundError, bot.chat, chat_id)
                _refuses(ChatNotFoundError, bot.chats.delete, chat_id)

    # ---------------------------------------------------------------- life cycle
    @rule(number=st.integers(0, draw.MOST_HANDLES))
    def reopen(self, *, number: int) -> None:
        """Close every workspace and open so many; none: open one more beside those there are."""
        while number and self.handles:
            self.close_last()
        for _ in range(number or int(len(self.handles) < draw.MOST_HANDLES)):
            self.open()

    @rule(tenant=_TENANT, handle=_HANDLE, sure=st.integers(0, 9))
    def delete_tenant(self, *, tenant: str, handle: int, sure: int) -> None:
        if sure == 9:
            session = self.session(tenant, handle)
            self.workspace(handle).tenants.delete(tenant)
            assert session.bots.list() == []
            self.tenants[tenant].clear()
            self.people[tenant].clear()

    @rule(tenant=_TENANT, handle=_HANDLE)
    def suspend(self, *, tenant: str, handle: int) -> None:
        """Close a tenant for a moment: every workspace refuses it, and its rival is none the wiser."""
        tenants = self.workspace(handle).tenants
        sessions = [self.session(tenant, number) for number in range(2 * len(self.handles))]
        held = {each.slug: each.counts.bots for each in tenants.list(counts=True) if each.counts}
        assert held == {slug: len(self.tenants[slug]) for slug in held}, "a tenant is said to hold other bots"
        tenants.suspend(tenant)
        for session in sessions:
            with pytest.raises(TenantSuspendedError):
                session.bots.list()
            with pytest.raises(TenantSuspendedError):
                session.search("kettle")
        rival = next(other for other in TENANTS if other != tenant)
        assert len(self.session(rival, handle).bots.list()) == len(self.tenants[rival])
        tenants.resume(tenant)


def _ranked(results: Any) -> list[Any]:
    return [(hit.key, hit.start, round(hit.score, 6)) for hit in results]


def _is_foreign(query: str, tenant: str) -> bool:
    return any(canary(other) in query for other in TENANTS if other != tenant)


def _refuses(error: type[NotFoundError], call: Any, foreign: str) -> None:
    """Fail unless a foreign id gives the error that an id of nothing gives, word for word."""
    missing = "0" * len(foreign)
    told = []
    for name in (foreign, missing):
        with pytest.raises(error) as caught:
            call(name)
        told.append(str(caught.value).replace(name, "…"))
    assert told[0] == told[1], f"another tenant's id is told apart from a missing one: {told}"
