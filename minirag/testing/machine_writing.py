"""`WritingMachine`: the half of the state machine that writes, and what both halves stand on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from minirag.aio.workspace import AsyncWorkspace
from minirag.errors import (
    AmbiguousKeyError,
    BotNotFoundError,
    DocumentNotFoundError,
    InvalidDocumentError,
    SourceNotFoundError,
)
from minirag.interfaces import Chunker, Embedder, ProviderContext
from minirag.models.answers import Citation
from minirag.models.documents import DocumentInput
from minirag.models.tenants import ProviderRef
from minirag.plugins.registry import Registry, parse_ref
from minirag.testing import machine_strategies as draw
from minirag.testing.machine_awaiting import Awaited
from minirag.testing.machine_listening import Listener
from minirag.testing.machine_oracle import (
    CHUNKERS,
    FOLDER,
    TENANTS,
    ExpectedBot,
    ExpectedSource,
    Given,
    Name,
    canary,
)
from minirag.workspace import Workspace

__all__ = ["WritingMachine"]

_TENANT = draw.tenants()
_BOT = draw.bots()
_HANDLE = draw.handles()
_TEXT_SOURCE = st.sampled_from(("inline", "notes"))
_ANY_SOURCE = st.sampled_from(("inline", "notes", FOLDER))
_OTHER = {"provider": "hashing", "options": {"dimension": 32}}
"""The embedder that bots are moved to and fro."""
_SETTINGS = {"chunker": "small", "language": "auto", "embed_context": "none"}


class WritingMachine(RuleBasedStateMachine):
    """Makes and changes bots, sources and documents of two tenants, and keeps the oracle in step."""

    heard: ClassVar[set[str]] = set()
    """Every method that was called, such as `"Bot.search"`."""

    def make_embedder(self) -> Embedder:
        """Return the embedder of the workspaces, and of the oracle."""
        ref = ProviderRef(provider="hashing", options={"dimension": 64})
        return Registry.discover(()).create("embedder", ref, ProviderContext())

    def make_workspace(self, folder: Path) -> Workspace:
        """Return a workspace at a folder; it may be open there already."""
        return Workspace.open(folder, embedder=self.make_embedder(), plugins=())

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory(prefix="minirag-machine-")
        self._root = Path(self._temporary.name)
        self.handles: list[Workspace] = []
        self._awaited: list[Awaited] = []
        self._loop = asyncio.Runner()
        self._embedder = self.make_embedder()
        registry = Registry.discover(())
        self._other: Embedder = registry.create("embedder", parse_ref("embedder", _OTHER), ProviderContext())
        self._chunkers: dict[str, Chunker] = {
            name: registry.create("chunker", parse_ref("chunker", value), ProviderContext())
            for name, value in CHUNKERS.items()
        }
        self.tenants: dict[str, dict[str, ExpectedBot]] = {tenant: {} for tenant in TENANTS}
        self.files: dict[str, dict[str, str]] = {tenant: {} for tenant in TENANTS}
        self.cited: list[tuple[str, str, ExpectedBot, Citation]] = []

    def teardown(self) -> None:
        while self.handles:
            self.close_last()
        self._loop.close()
        self._temporary.cleanup()

    @initialize(documents=st.lists(draw.givens(blank=False), min_size=2, max_size=6))
    def start(self, *, documents: list[Given]) -> None:
        self.open()
        for tenant in TENANTS:
            self._folder(tenant).mkdir(parents=True)
            for name, part in (("support", documents), ("docs", documents[1:])):
                self.create(tenant=tenant, name=name, handle=0, changes={}, short=True)
                self.add(tenant=tenant, name=name, handle=0, label="inline", documents=part, several=True)

    # ---------------------------------------------------------------- ways to a bot
    def open(self) -> None:
        """Open one more workspace, whose asynchronous face is another way to it."""
        workspace = self.make_workspace(self._root / "kb")
        self.handles.append(workspace)
        self._awaited.append(Awaited(AsyncWorkspace(lambda: workspace), self._loop))

    def close_last(self) -> None:
        """Close the workspace that was opened last."""
        self._awaited.pop().close()
        self.handles.pop().close()

    def workspace(self, handle: int) -> Any:
        """Return one of the open workspaces: the first numbers are their synchronous faces, the next their asynchronous ones."""
        turn, place = divmod(handle, len(self.handles))
        return self._awaited[place] if turn % 2 else self.handles[place]

    def _folder(self, tenant: str) -> Path:
        return self._root / tenant / FOLDER

    def session(self, tenant: str, handle: int = 0) -> Any:
        """Return a tenant's session of one of the open workspaces, behind a `Listener`."""
        return self.listening(tenant, self.workspace(handle).tenant(tenant, create=True))

    def listening(self, tenant: str, session: Any) -> Any:
        """Return a tenant's session behind a `Listener`."""
        others = tuple(canary(other) for other in TENANTS if other != tenant)
        return Listener(session, forbidden=others, heard=self.heard)

    def bot(self, tenant: str, name: str, handle: int = 0) -> tuple[Any, ExpectedBot] | None:
        """Return a bot and what is expected of it; None if there is none, which the session must say too."""
        session, expected = self.session(tenant, handle), self.tenants[tenant].get(name)
        if expected is None:
            with pytest.raises(BotNotFoundError):
                session.bot(name)
            return None
        return session.bot(name), expected

    # ---------------------------------------------------------------- bots
    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, changes=draw.settings(), short=st.booleans())
    def create(self, *, tenant: str, name: str, handle: int, changes: dict[str, str], short: bool) -> None:
        session, expected = self.session(tenant, handle), self.tenants[tenant].get(name)
        if expected is None:
            expected = ExpectedBot(self._embedder, self._chunkers, dict(_SETTINGS))
            self.tenants[tenant][name] = expected
            changes = {**_SETTINGS, **changes}
        keywords = {"system_prompt": f"You help {canary(tenant)}.", **self._keywords(changes)}
        bot = session.bot(name, create=True, **keywords) if short else session.bots.create(name, **keywords)
        assert bot.profile.system_prompt == keywords["system_prompt"]
        expected.change(changes)

    @rule(
        tenant=_TENANT,
        name=_BOT,
        handle=_HANDLE,
        changes=draw.settings().filter(bool),
        short=st.booleans(),
        ingest=st.booleans(),
    )
    def update(
        self, *, tenant: str, name: str, handle: int, changes: dict[str, str], short: bool, ingest: bool
    ) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            keywords = self._keywords(changes)
            profile = bot.update(**keywords) if short else self.session(tenant, handle).bots.update(name, **keywords)
            expected.change(changes)
            assert profile == self.session(tenant, handle + 1).bots.get(name).profile
            if ingest:
                self.ingest(tenant=tenant, name=name, handle=handle)

    def _keywords(self, changes: dict[str, str]) -> dict[str, Any]:
        return {name: CHUNKERS[value] if name == "chunker" else value for name, value in changes.items()}

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, sure=st.booleans())
    def delete(self, *, tenant: str, name: str, handle: int, sure: bool) -> None:
        if sure and (found := self.bot(tenant, name, handle)):
            if handle % 2:
                found[0].delete()
            else:
                self.session(tenant, handle).bots.delete(name)
            del self.tenants[tenant][name]
            with pytest.raises(BotNotFoundError):
                found[0].documents.count()

    # ---------------------------------------------------------------- documents in
    @rule(
        tenant=_TENANT,
        name=_BOT,
        handle=_HANDLE,
        label=_TEXT_SOURCE,
        documents=st.lists(draw.givens(), min_size=1, max_size=5),
        several=st.booleans(),
    )
    def add(self, *, tenant: str, name: str, handle: int, label: str, documents: list[Given], several: bool) -> None:
        found = self.bot(tenant, name, handle)
        if found is None:
            return
        bot, expected = found
        given = [document.of(tenant) for document in documents]
        inputs = [DocumentInput(text=g.text, key=g.key, title=g.title, metadata=g.metadata) for g in given]
        source = None if label == "inline" else label
        if several and any(not document.text.strip() for document in given):
            with pytest.raises(InvalidDocumentError):
                bot.add(*inputs, source=source)
            return
        report = bot.add(*inputs, source=source) if several else bot.add(iter(inputs), source=source)
        expected.sources.setdefault(label, ExpectedSource(label))
        _check_counts(report.counts, expected.put_all(label, given))

    @rule(
        tenant=_TENANT,
        name=_BOT,
        handle=_HANDLE,
        place=st.integers(0, 9),
        changes=st.one_of(
            st.just({}),
            st.fixed_dictionaries({"title": draw.titles()}),
            st.fixed_dictionaries({"metadata": draw.own_metadata()}),
        ),
        near=st.booleans(),
    )
    def add_again(
        self, *, tenant: str, name: str, handle: int, place: int, changes: dict[str, Any], near: bool
    ) -> None:
        """Add the text of a document as it is, with the title and metadata it has, with others or with nearly the same."""
        found = self.bot(tenant, name, handle)
        if found is None or not (names := [each for each in found[1].documents if each[0] != FOLDER]):
            return
        bot, expected = found
        label, key = names[place % len(names)]
        old = expected.documents[(label, key)]
        metadata = {field: _nearly(value) if near else value for field, value in old.metadata.items()}
        same = Given(key, old.text, old.title, metadata)
        given = replace(same, **changes).of(tenant)
        again = DocumentInput(text=given.text, key=key, title=given.title, metadata=given.metadata)
        _check_counts(bot.add(again, source=label).counts, expected.put_all(label, [given]))

    @rule(tenant=_TENANT, changes=st.dictionaries(draw.file_names(), st.none() | draw.contents(), min_size=1))
    def write_files(self, *, tenant: str, changes: dict[str, str | None]) -> None:
        for key, content in changes.items():
            path = self._folder(tenant) / key
            if content is None:
                path.unlink(missing_ok=True)
                self.files[tenant].pop(key, None)
            else:
                path.parent.mkdir(exist_ok=True)
                text = content.replace("{c}", canary(tenant))
                path.write_text(text, encoding="utf-8", newline="")
                self.files[tenant][key] = text

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE)
    def add_folder(self, *, tenant: str, name: str, handle: int) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            report = bot.add(self._folder(tenant))
            expected.sources.setdefault(FOLDER, ExpectedSource(FOLDER))
            _check_counts(report.counts, expected.read_folder(self.files[tenant]))

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE)
    def ingest(self, *, tenant: str, name: str, handle: int) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            _check_counts(bot.ingest().counts, expected.ingest(self.files[tenant]))
            assert bot.stats().stale == 0, "after ingest() nothing is stale"

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, other=st.booleans(), rechunk=st.booleans())
    def reembed(self, *, tenant: str, name: str, handle: int, other: bool, rechunk: bool) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            given, embedder = (_OTHER, self._other) if other else (self.make_embedder(), self._embedder)
            moves = embedder.space != expected.embedder.space
            counts = expected.move(embedder, rechunk=rechunk)
            report = bot.reembed(given, rechunk)
            assert report.moved == moves
            assert report.chunks == expected.numbers()["chunks"]
            assert (report.rechunked is not None) == rechunk
            if report.rechunked is not None:
                _check_counts(report.rechunked.counts, counts)

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, wait=st.booleans())
    def optimize(self, *, tenant: str, name: str, handle: int, wait: bool) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            stats = bot.optimize(wait)
            assert stats.documents == expected.numbers()["documents"], "optimize() changed what is stored"

    # ---------------------------------------------------------------- sources
    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, text=draw.contents().filter(lambda text: bool(text.strip())))
    def register_text(self, *, tenant: str, name: str, handle: int, text: str) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            text = text.replace("{c}", canary(tenant))
            assert bot.sources.add(text=text, name="notes").status in {"registered", "ready"}
            expected.sources.setdefault("notes", ExpectedSource("notes")).waiting = text

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, label=_ANY_SOURCE, given=draw.givens(), rename=st.booleans())
    def update_source(self, *, tenant: str, name: str, handle: int, label: str, given: Given, rename: bool) -> None:
        found = self.bot(tenant, name, handle)
        if found is None:
            return
        bot, expected = found
        source = expected.sources.get(label)
        if source is None:
            with pytest.raises(SourceNotFoundError):
                bot.sources.update(label, metadata={})
            return
        source.metadata = dict(given.of(tenant).metadata)
        before, named = source.name, {}
        if rename and label == FOLDER:
            source.name = "papers" if source.name == FOLDER else FOLDER
            named = {"name": source.name}
        bot.sources.update(before, metadata=source.metadata, **named)

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, label=_ANY_SOURCE)
    def remove_source(self, *, tenant: str, name: str, handle: int, label: str) -> None:
        if found := self.bot(tenant, name, handle):
            bot, expected = found
            if label not in expected.sources:
                with pytest.raises(SourceNotFoundError):
                    bot.sources.remove(label)
                return
            assert bot.sources.remove(expected.sources[label].name) == expected.remove_source(label)

    @rule(tenant=_TENANT, name=_BOT, handle=_HANDLE, label=_ANY_SOURCE)
    def read_source(self, *, tenant: str, name: str, handle: int, label: str) -> None:
        found = self.bot(tenant, name, handle)
        if found is None or label not in found[1].sources:
            return
        bot, expected = found
        counts = expected.ingest(self.files[tenant], [label])
        _check_counts(bot.sources.ingest(expected.sources[label].name).counts, counts)

    @rule(
        tenant=_TENANT,
        name=_BOT,
        handle=_HANDLE,
        keys=st.lists(draw.keys() | draw.file_names(), max_size=3),
        label=st.none() | _ANY_SOURCE,
    )
    def remove(self, *, tenant: str, name: str, handle: int, keys: list[str], label: str | None) -> None:
        found = self.bot(tenant, name, handle)
        if found is None or (label is not None and label not in found[1].sources):
            return
        bot, expected = found
        source = None if label is None else expected.sources[label].name
        names: list[Name] = []
        for key in dict.fromkeys(keys):
            same = [each for each in expected.names(label=label) if each[1] == key]
            if len(same) != 1:
                with pytest.raises(AmbiguousKeyError if same else DocumentNotFoundError):
                    bot.documents.remove(*keys, source=source)
                return
            names += same
        assert bot.documents.remove(*keys, source=source) == len(names)
        expected.remove(names)


def _nearly(value: Any) -> Any:
    """Return a number of another type that Python takes for equal; anything else as it is."""
    return int(value) if isinstance(value, bool) else bool(value) if value in (0, 1) else value


def _check_counts(found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Fail unless a report counts as expected."""
    told = {status: number for status, number in found.items() if number}
    wanted = {status: number for status, number in expected.items() if number}
    assert told == wanted, f"the report counts {told}, not {wanted}"
