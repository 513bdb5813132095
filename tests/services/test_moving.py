"""A tenant that is exported and imported is the same tenant, and an import that fails leaves nothing."""

from __future__ import annotations

import datetime as dt
import random
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import minirag
from minirag.errors import (
    ArchiveError,
    ConflictError,
    InvalidInputError,
    ReadOnlyWorkspaceError,
    SecretError,
    SecretKeyMissingError,
    TenantExistsError,
    TenantNotFoundError,
)
from minirag.models.moving import MoveProgress
from minirag.providers.local.hashing import Hashing
from minirag.testing.machine_invariants import show

if TYPE_CHECKING:
    from minirag.types import Matrix, Purpose

WORDS: Final = [
    "laptop",
    "phone",
    "return",
    "shipping",
    "invoice",
    "refund",
    "battery",
    "warranty",
    "parcel",
    "office",
    "holiday",
    "archive",
    "kettle",
    "bridge",
]
MODES: Final = ("hybrid", "dense", "keyword")


class Counted(Hashing):
    """Counts the documents' texts that it embeds."""

    def __init__(self, dimension: int = 48) -> None:
        super().__init__(dimension=dimension)
        self.documents = 0

    def embed(self, texts: Sequence[str], *, purpose: Purpose) -> Matrix:
        self.documents += len(texts) * (purpose == "document")
        return super().embed(texts, purpose=purpose)


def text_of(number: int) -> str:
    chosen = random.Random(number)
    return f"Note {number}. " + " ".join(chosen.choice(WORDS) for _ in range(60)) + "."


def fill(workspace: minirag.Workspace) -> None:
    """Make a tenant of two bots: one with old, removed and stale documents, chats and bills, one moved to another embedder."""
    session = workspace.tenant("acme", create=True)
    bot = session.bot("support", create=True, filterable=["year", "tags", "day"], credentials={"api_key": "a secret"})
    bot.add(
        minirag.DocumentInput(
            text=text_of(number),
            key=f"note-{number}",
            title=f"Note {number}" if number % 2 else None,
            metadata={"year": 2_000 + number % 30, "tags": ["a", "b"], "day": dt.date(2024, 1, 1 + number % 28)},
        )
        for number in range(200)
    )
    bot.add(minirag.DocumentInput(text="Émile's 漢字 \U0001f468 zeppelins may be returned. " * 400, key="long"))
    bot.add(minirag.DocumentInput(text=" ".join(text_of(number) for number in range(40)), key="book"))
    chat = bot.chat()
    chat.send("May zeppelins be returned?")
    chat.send("And of phones?")
    bot.add(minirag.DocumentInput(text="Nothing is returned any more.", key="long"), source="inline")
    bot.add(minirag.DocumentInput(text="Gone soon, with every kettle.", key="gone"))
    bot.chat().send("Which kettle is gone soon?")
    bot.documents.remove("gone")
    bot.sources.add(text="Not read yet.", name="later", metadata={"seen": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)})
    other = session.bot("other", create=True, chunker="whole")
    other.add(minirag.DocumentInput(text=text_of(number), key=f"note-{number}") for number in range(20))
    other.reembed(Counted(32))
    other.update(language="en")
    workspace.tenant("rival", create=True).bot("support", create=True).add(
        minirag.DocumentInput(text="A secret of theirs.")
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the tenants acme and rival."""
    folder = tmp_path_factory.mktemp("moving")
    with minirag.Workspace.open(folder / "kb", embedder=Counted()) as workspace:
        fill(workspace)
        workspace.tenants.export("acme", folder / "acme.minirag", progress=False)
        workspace.tenants.export("acme", folder / "sealed.minirag", passphrase="correct horse", progress=False)
    return folder


@pytest.fixture
def archive(source: Path) -> Path:
    return source / "acme.minirag"


def everything(workspace: minirag.Workspace, slug: str = "acme") -> dict[str, Any]:
    """Return what of a tenant can be listed, but for credentials."""
    session = workspace.tenant(slug)
    seen: dict[str, Any] = {"usage": session.usage.total().rows, "events": list(session.usage.events())}
    for profile in session.bots.list():
        bot = session.bot(profile.name)
        stats = bot.stats()
        seen[profile.name] = (
            profile.model_copy(update={"credential_fields": ()}),
            bot.sources.list(),
            list(bot.documents.list()),
            [bot.documents.text(document.key) for document in list(bot.documents.list())[:5]],
            [bot.chats.get(chat.id).messages for chat in bot.chats.list()],
            (stats.documents, stats.chunks, stats.characters, stats.sources, stats.stale, stats.space),
        )
    return seen


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


def test_a_tenant_is_the_same_elsewhere(source: Path, archive: Path, tmp_path: Path) -> None:
    """Listings, chats, bills and the hits of 200 questions in all modes are equal; nothing is embedded anew."""
    embedder = Counted()
    with (
        minirag.Workspace.open(source / "kb", embedder=Counted()) as old,
        minirag.Workspace.open(tmp_path / "new", embedder=embedder) as new,
    ):
        report = new.tenants.import_(archive, progress=False)
        assert embedder.documents == 0
        assert everything(new) == everything(old)
        assert [tenant.slug for tenant in new.tenants.list()] == ["acme"]
        assert (report.tenant.slug, report.counts["bots"], report.counts["documents"]) == ("acme", 2, 222)
        assert report.left_out == ("support/api_key",)
        questions = [" ".join(random.Random(number).choices(WORDS, k=4)) for number in range(200)]
        for mode in MODES:
            for where in (None, {"year": {"$gte": 2_020}, "tags": "a"}, {"day": dt.date(2024, 1, 3)}):
                asked = questions if where is None else questions[:20]
                found = [
                    workspace.tenant("acme").bot("support").search_many(asked, mode=mode, exact=True, where=where)
                    for workspace in (old, new)
                ]
                assert [_hits(results) for results in found[0]] == [_hits(results) for results in found[1]]
        moved = [
            ws.tenant("acme").bot("other", create=True, embedder=Counted(32)).search(questions[0]) for ws in (old, new)
        ]
        assert _hits(moved[0]) == _hits(moved[1])
        assert embedder.documents == 0
        assert new.verify(progress=False).faults == ()


def _hits(results: Any) -> list[Any]:
    return [(hit.key, hit.start, hit.score, hit.version_id, hit.text, hit.metadata) for hit in results]


def test_citations_open_of_old_and_removed_versions_too(archive: Path, tmp_path: Path) -> None:
    """A message of before the move still shows its evidence, though the document has another text or is gone."""
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        new.tenants.import_(archive, slug="moved", progress=False)
        bot = new.tenant("moved").bot("support")
        cited = [
            citation
            for chat in bot.chats.list()
            for message in bot.chats.get(chat.id).messages
            for citation in message.citations
        ]
        assert {"long", "gone"} <= {citation.key for citation in cited}
        for citation in cited:
            assert citation.verify()
            assert bot.open(citation) == citation.quote


def test_a_second_export_equals_the_first(archive: Path, tmp_path: Path) -> None:
    """Every record is in the second archive as in the first, byte for byte."""
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        new.tenants.import_(archive, progress=False)
        new.tenants.export("acme", tmp_path / "again.minirag", progress=False)
    assert members(tmp_path / "again.minirag") == members(archive)


def test_an_imported_tenant_goes_on(archive: Path, tmp_path: Path) -> None:
    """What is added, changed and removed after the import behaves as ever; a text that is known is not embedded again."""
    embedder = Counted()
    with minirag.Workspace.open(tmp_path / "new", embedder=embedder) as new:
        new.tenants.import_(archive, progress=False)
        bot = new.tenant("acme").bot("support")
        assert bot.add(minirag.DocumentInput(text=text_of(1), key="copy")).embedded_texts == 0
        bot.add(minirag.DocumentInput(text="A zeppelin.", key="note-3"))
        bot.documents.remove("note-4")
        assert bot.search("zeppelin", k=1, mode="keyword")[0].key == "note-3"
        assert bot.stats().documents == 202
        assert new.verify(progress=False).faults == ()


def test_the_same_archive_twice(archive: Path, tmp_path: Path) -> None:
    """A taken slug is refused; under another one the tenant comes a second time, and neither sees the other."""
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        new.tenants.import_(archive, progress=False)
        with pytest.raises(TenantExistsError, match="slug="):
            new.tenants.import_(archive, progress=False)
        new.tenants.import_(archive, slug="twin", progress=False)
        before = everything(new, "twin")
        new.tenants.delete("acme")
        assert everything(new, "twin") == before
        assert new.verify(progress=False).faults == ()


def test_progress_and_reports(source: Path, tmp_path: Path) -> None:
    """Steps never go back and end in `finished`; reports say what moved, in a notebook too."""
    steps: list[MoveProgress] = []
    with minirag.Workspace.open(source / "kb", embedder=Counted()) as old:
        exported = old.tenants.export("acme", tmp_path / "a.minirag", progress=steps.append)
    assert [steps[-1].stage, steps[-1].done] == ["finished", exported.counts["chunks"]]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert stat.S_IMODE((tmp_path / "a.minirag").stat().st_mode) == 0o600
    assert exported.size == (tmp_path / "a.minirag").stat().st_size
    assert "2 bots" in repr(exported)
    assert "support/api_key" in str(exported)
    steps.clear()
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        imported = new.tenants.import_(tmp_path / "a.minirag", progress=steps.append)
    assert [step.stage for step in steps if step.done == step.total] == ["checking", "moving", "finished"]
    assert imported.counts == exported.counts
    assert "<table" in imported._repr_html_()
    assert "2 bots" in repr(imported)


def test_credentials_under_a_passphrase(source: Path, tmp_path: Path) -> None:
    """The right one brings them, sealed anew; a wrong one is an error; without one they are left out."""
    sealed = source / "sealed.minirag"
    assert b"a secret" not in sealed.read_bytes()
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        with pytest.raises(SecretError) as caught:
            new.tenants.import_(sealed, passphrase="wrong horse", progress=False)
        assert "horse" not in str(caught.value)
        assert new.tenants.list() == []
        report = new.tenants.import_(sealed, slug="with", passphrase="correct horse", progress=False)
        assert report.left_out == ()
        bot = new.tenant("with").bot("support")
        assert bot.profile.credential_fields == ("api_key",)
        assert bot._context.core.secrets.open(bot._context.scope, bot._context.bot_id) == {"api_key": "a secret"}
        report = new.tenants.import_(sealed, slug="without", progress=False)
        assert report.left_out == ("support/api_key",)
        assert new.tenant("without").bot("support").profile.credential_fields == ()


def test_credentials_need_a_master_key(source: Path, tmp_path: Path) -> None:
    """Where none can be stored, nothing is imported."""
    with minirag.Workspace.open(f"sqlite:///{tmp_path}/db.sqlite3", embedder=Counted(), cache_dir=tmp_path) as new:
        with pytest.raises(SecretKeyMissingError):
            new.tenants.import_(source / "sealed.minirag", passphrase="correct horse", progress=False)
        with new._core.storage.directory() as directory:
            assert directory.tenants() == []


def test_what_cannot_be(source: Path, archive: Path, tmp_path: Path) -> None:
    """A taken path, an unknown tenant, a read-only workspace: each its error, and nothing is left."""
    with minirag.Workspace.open(source / "kb", embedder=Counted(), read_only=True) as old:
        with pytest.raises(ConflictError, match="exists already"):
            old.tenants.export("acme", archive, progress=False)
        with pytest.raises(TenantNotFoundError):
            old.tenants.export("nobody", tmp_path / "x", progress=False)
        with pytest.raises(ReadOnlyWorkspaceError):
            old.tenants.import_(archive, slug="other", progress=False)
        with pytest.raises(InvalidInputError):
            old.tenants.import_(tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


class StopItError(Exception):
    """Raised by a callback."""


def test_a_callback_that_raises_ends_it(source: Path, archive: Path, tmp_path: Path) -> None:
    """Neither half an archive nor half a tenant is left."""

    def stop(step: MoveProgress) -> None:
        if step.stage == "moving":
            raise StopItError

    with minirag.Workspace.open(source / "kb", embedder=Counted()) as old, pytest.raises(StopItError):
        old.tenants.export("acme", tmp_path / "x", progress=stop)
    assert list(tmp_path.iterdir()) == []
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        with pytest.raises(StopItError):
            new.tenants.import_(archive, progress=stop)
        with new._core.storage.directory() as directory:
            assert directory.tenants() == []


def test_an_import_is_not_seen_before_it_is_whole(archive: Path, tmp_path: Path) -> None:
    """Meanwhile no list shows the tenant and its slug is free; who takes it wins, and the import leaves nothing."""
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:

        def look(step: MoveProgress) -> None:
            if step.stage == "moving" and not new.tenants.list():
                new.tenants.create("acme")

        with pytest.raises(TenantExistsError):
            new.tenants.import_(archive, progress=look)
        assert new.tenant("acme").bots.list() == []
        with new._core.storage.directory() as directory:
            assert len(directory.tenants()) == 1


def test_a_second_import_of_the_same_archive_takes_over(archive: Path, tmp_path: Path) -> None:
    """The first one ends with an error that says so, and the tenant of the second is whole."""
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        begun: list[bool] = []

        def begin(step: MoveProgress) -> None:
            if step.stage == "moving" and not begun:
                begun.append(True)
                new.tenants.import_(archive, progress=False)

        with pytest.raises(ConflictError):
            new.tenants.import_(archive, progress=begin)
        assert show(new.tenant("acme").bot("support").search("laptop", k=1))
        assert new.verify(progress=False).faults == ()


def test_an_archive_of_another_kind(tmp_path: Path) -> None:
    """A ZIP that is no archive, or of a later format version, says what it is."""
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as plain:
        plain.writestr("../../escape", "x")
    with zipfile.ZipFile(tmp_path / "later.zip", "w") as later:
        later.writestr("manifest.json", '{"format": "minirag tenant", "version": 2}')
    with minirag.Workspace.open(tmp_path / "new", embedder=Counted()) as new:
        for name, said in (("plain.zip", "no archive"), ("later.zip", "version 2")):
            with pytest.raises(ArchiveError, match=said):
                new.tenants.import_(tmp_path / name, progress=False)
