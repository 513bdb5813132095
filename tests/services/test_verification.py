"""`verify` finds every kind of fault that is put into a workspace, and nothing else; `repair` mends what can be derived."""

from __future__ import annotations

import itertools
import shutil
import threading
from pathlib import Path

import pytest

import minirag
from minirag.errors import ReadOnlyWorkspaceError
from minirag.models.verification import Fault
from tests.services.conftest import CountingEmbedder
from tests.services.faults import DATABASE, SEEDS, make_workspace, metadata_of, raw, vector

INDEXED = {
    "vector_missing",
    "vector_invalid",
    "vector_leftover",
    "chunk_span",
    "chunk_count",
    "log",
    "log_replay",
    "bot",
}
"""Faults of what indexes are fed with."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without a fault, to be copied."""
    folder = tmp_path_factory.mktemp("whole") / "kb"
    make_workspace(folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of the workspace."""
    return Path(shutil.copytree(whole, tmp_path / "kb"))


def found(faults: tuple[Fault, ...]) -> list[str]:
    return sorted(fault.kind for fault in faults)


def answers(workspace: minirag.Workspace) -> list[list[tuple[str, str]]]:
    """Return what searches of every bot find, by key and text."""
    return [
        [(hit.key, hit.text) for hit in workspace.tenant(slug).bot(name).search("returned", k=1_000, mode=mode)]
        for slug in ("acme", "rival")
        for name in ("support", "sales")
        for mode in ("dense", "keyword")
    ]


def test_nothing_is_wrong_with_a_workspace_that_was_never_harmed(folder: Path) -> None:
    """No fault is found, and the report tells how much was read and what was not checked."""
    with minirag.Workspace.open(folder) as workspace:
        report = workspace.verify(models=True)
    assert report.faults == ()
    assert report.ok
    assert report.skipped == ()
    assert report.checked["tenants"] == 2
    assert report.checked["bots"] == report.checked["credentials"] == report.checked["embedders"] == 4
    assert (report.checked["documents"], report.checked["versions"]) == (12, 20)
    assert report.checked["vectors"] == report.checked["chunks"] > 50


@pytest.mark.parametrize("name", SEEDS)
def test_a_seeded_fault_is_found_and_repaired(folder: Path, name: str) -> None:
    """Exactly what was put in is found, in its place; a repair leaves what cannot be derived, each with what is to be done."""
    seed = SEEDS[name]
    with raw(folder) as connection:
        seed.seeder(connection)
    with minirag.Workspace.open(folder) as workspace:
        before = workspace.verify()
        assert found(before.faults) == seed.faults, before.faults
        assert {fault.place for fault in before.faults} == {seed.place}
        assert all(fault.remedy and fault.what and fault.count >= 1 for fault in before.faults)
        assert [fault.kind for fault in before.faults if not fault.repairable] == seed.left
        repaired = workspace.repair()
        assert found(repaired.remaining) == seed.left, repaired.remaining
        assert found(repaired.repaired) == [kind for kind in seed.faults if kind not in seed.left]
        assert repaired.ok == (not seed.left)
        after = workspace.verify()
        assert found(after.faults) == seed.left
        again = workspace.repair()
        assert (again.repaired, found(again.remaining)) == ((), seed.left)


@pytest.mark.parametrize("name", [name for name, seed in SEEDS.items() if not seed.left and INDEXED & {*seed.faults}])
def test_after_a_repair_searches_find_what_they_found_before(whole: Path, folder: Path, name: str) -> None:
    """In a process that has searched before the fault, too: whatever it holds in memory is brought level."""
    with minirag.Workspace.open(whole, read_only=True) as workspace:
        expected = answers(workspace)
    with minirag.Workspace.open(folder) as searcher:
        assert answers(searcher) == expected
        with raw(folder) as connection:
            SEEDS[name].seeder(connection)
        with minirag.Workspace.open(folder) as workspace:
            assert workspace.repair().ok
            assert answers(workspace) == expected
        assert answers(searcher) == expected
        bot = searcher.tenant("acme").bot("support")
        assert bot.add(minirag.DocumentInput(text="A tablet may be returned.", key="new")).ok
        assert searcher.verify().ok


def test_a_damaged_text_is_replaced_when_its_document_is_added_again(folder: Path) -> None:
    """After a repair the document is not taken for unchanged, though it is given with the text that it had."""
    with minirag.Workspace.open(folder, read_only=True) as workspace:
        text = workspace.tenant("acme").bot("support").documents.text("note-1")
    with raw(folder) as connection:
        SEEDS["a document without its version"].seeder(connection)
    with minirag.Workspace.open(folder) as workspace:
        bot = workspace.tenant("acme").bot("support")
        again = minirag.DocumentInput(text=text, key="note-1", metadata=metadata_of(1))
        assert bot.add(again).counts["unchanged"] == 1
        assert not workspace.repair().ok
        assert bot.ingest().ok
        assert bot.add(again).counts["updated"] == 1
        assert bot.documents.text("note-1") == text
        assert workspace.verify().ok


def test_without_its_embedder_a_bot_keeps_its_documents_marked(folder: Path) -> None:
    """What must be embedded anew is said to be left, and is done by the next ingestion that has the embedder."""
    with raw(folder) as connection:
        SEEDS["a chunk without its vector"].seeder(connection)
        connection.execute("UPDATE bots SET profile = replace(profile, '\"hashing\"', '\"nothing\"') WHERE id = bot()")
    with minirag.Workspace.open(folder) as workspace:
        report = workspace.repair()
        assert found(report.remaining) == ["vector_missing"]
        assert any("bot.ingest()" in note for note in report.skipped)
    with raw(folder) as connection:
        connection.execute("UPDATE bots SET profile = replace(profile, '\"nothing\"', '\"hashing\"') WHERE id = bot()")
    with minirag.Workspace.open(folder) as workspace:
        workspace.tenant("acme").bot("support").ingest()
        assert workspace.verify().ok


def test_a_document_is_not_cut_anew_from_a_damaged_text(folder: Path) -> None:
    """What is left of a text must not be taken for the text, even where chunks or vectors are missing too."""
    with raw(folder) as connection:
        SEEDS["another letter in a text"].seeder(connection)
        SEEDS["a chunk without its vector"].seeder(connection)
    with minirag.Workspace.open(folder) as workspace:
        report = workspace.repair()
        assert found(report.remaining) == ["text", "vector_missing"]
        workspace.tenant("acme").bot("support").ingest()
        assert found(workspace.verify().faults) == ["text", "vector_missing"]


def test_the_sequence_of_a_repaired_log_goes_on(folder: Path) -> None:
    """Whoever keeps a position of it never sees it go back."""
    with minirag.Workspace.open(folder) as workspace:
        bot = workspace.tenant("acme").bot("support")
        before = bot.stats().sequence
        with raw(folder) as connection:
            SEEDS["a gap in the log"].seeder(connection)
        assert workspace.repair().ok
        assert bot.stats().sequence == before + 1


def test_a_dropped_vector_leaves_every_index(workspace: minirag.Workspace, embedder: CountingEmbedder) -> None:
    """Of other processes too, though nobody could embed its text anew."""
    bot = workspace.tenant("acme", create=True).bot("support", create=True)
    bot.add(minirag.DocumentInput(text=f"Number {number}.", key=f"note-{number}") for number in range(3))
    with raw(Path(workspace.location)) as connection:
        vector(lambda values: values * 0.9)(connection)
    with minirag.Workspace.open(workspace.location, embedder=embedder) as searcher:
        other = searcher.tenant("acme").bot("support")
        assert len(other.search("Number", mode="dense")) == 3
        with minirag.Workspace.open(workspace.location) as without:
            assert found(without.repair().remaining) == ["vector_missing"]
        assert {hit.key for hit in other.search("Number", mode="dense")} == {"note-0", "note-2"}


def test_a_shallow_check_says_what_it_leaves_out(folder: Path) -> None:
    """`deep=False` finds what is missing, but reads no text and no vector."""
    with raw(folder) as connection:
        SEEDS["a vector cut short"].seeder(connection)
        SEEDS["a wrong count of chunks"].seeder(connection)
    with minirag.Workspace.open(folder, read_only=True) as workspace:
        report = workspace.verify(deep=False)
    assert found(report.faults) == ["counters"]
    assert any("deep=False" in note for note in report.skipped)
    assert "vectors" not in report.checked


def test_many_faults_are_told_together(folder: Path) -> None:
    """Faults of several bots and kinds are all found, each where it is, and one repair mends them all."""
    names = [name for name, seed in SEEDS.items() if not seed.left and seed.faults not in (["log"], ["bot"])]
    with raw(folder) as connection:
        for name in names:
            if "chunk that is gone" not in name and "without its vector" not in name:
                SEEDS[name].seeder(connection)
        connection.execute("DELETE FROM embeddings WHERE bot_id != bot()")
    with minirag.Workspace.open(folder) as workspace:
        faults = workspace.verify().faults
        missing = {fault.place: fault.count for fault in faults if fault.kind == "vector_missing"}
        assert set(missing) == {"acme/sales", "rival/support", "rival/sales"}
        assert all(count > 10 for count in missing.values())
        assert all(len(fault.ids) <= 20 for fault in faults)
        assert workspace.repair().ok
        assert workspace.verify().ok


def test_a_database_that_cannot_be_read_is_a_fault_and_no_exception(folder: Path) -> None:
    """Damage in the middle of every table is told, tenant by tenant."""
    file = folder / DATABASE
    with raw(folder) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks'").fetchone()
    with file.open("rb+") as database:
        database.seek((page - 1) * 16_384)
        database.write(b"\xff" * 16_384)
    with minirag.Workspace.open(folder) as workspace:
        report = workspace.verify()
        assert set(found(report.faults)) == {"pages"}
        assert {fault.place for fault in report.faults} >= {"workspace", "acme/support", "rival/sales"}
        assert not workspace.repair().ok


def test_a_wrong_model_is_found_where_it_is_asked_for(folder: Path) -> None:
    """With `models=True` some stored texts are embedded again; without it the report says that this was left out."""
    with raw(folder) as connection:
        connection.execute(
            "UPDATE embeddings SET vector = (SELECT vector FROM embeddings WHERE bot_id = bot() ORDER BY chunk_key DESC)"
            " WHERE bot_id = bot()"
        )
    with minirag.Workspace.open(folder) as workspace:
        assert workspace.verify().ok
        assert any("models=False" in note for note in workspace.verify().skipped)
        assert [(fault.kind, fault.place) for fault in workspace.verify(models=True).faults] == [
            ("model", "acme/support")
        ]


def test_others_may_work_meanwhile(folder: Path) -> None:
    """While documents come, change and go, a check finds nothing wrong, and a repair breaks nothing."""
    stop, problems = threading.Event(), []

    def write() -> None:
        try:
            with minirag.Workspace.open(folder) as workspace:
                bot = workspace.tenant("acme").bot("support")
                for number in itertools.count():
                    bot.add(minirag.DocumentInput(text=f"Document {number}. " * 100, key=f"key-{number % 5}"))
                    if number % 3 == 0:
                        bot.documents.remove(f"key-{number % 5}")
                    if stop.is_set():
                        return
        except Exception as problem:
            problems.append(problem)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with minirag.Workspace.open(folder) as workspace:
            for _ in range(4):
                assert workspace.verify().faults == ()
            with raw(folder) as connection:
                SEEDS["a wrong count of words"].seeder(connection)
                SEEDS["a chunk without its vector"].seeder(connection)
            assert workspace.repair().remaining == ()
    finally:
        stop.set()
        thread.join()
    assert problems == []
    with minirag.Workspace.open(folder) as workspace:
        assert workspace.verify().ok


def test_a_read_only_workspace_is_verified_and_not_repaired(folder: Path) -> None:
    """`verify` writes nothing; `repair` is refused."""
    before = (folder / DATABASE).read_bytes()
    with minirag.Workspace.open(folder, read_only=True) as workspace:
        assert workspace.verify(models=True).ok
        with pytest.raises(ReadOnlyWorkspaceError, match="open it for writing"):
            workspace.repair()
    assert (folder / DATABASE).read_bytes() == before


def test_progress_is_told(folder: Path) -> None:
    """The callback is told of each stage, and how many tenants and chunks are done."""
    steps = []
    with minirag.Workspace.open(folder) as workspace:
        report = workspace.verify(progress=steps.append)
    assert list(dict.fromkeys(step.stage for step in steps)) == ["file", "tenants", "snapshots", "finished"]
    assert (steps[-1].stage, steps[-1].done, steps[-1].total) == ("finished", 2, 2)
    assert steps[-1].chunks == report.checked["chunks"]


def test_reports_show_themselves(folder: Path) -> None:
    """As text and as a table, with everything from the database escaped."""
    with raw(folder) as connection:
        connection.execute("UPDATE bots SET name = '<b>' WHERE id = bot()")
    with minirag.Workspace.open(folder) as workspace:
        report = workspace.verify()
        assert "1 fault in 2 tenants" in str(report)
        assert repr(report).startswith("VerifyReport(1 fault")
        assert "&lt;b&gt;" in report._repr_html_()
        assert "<b>" not in report._repr_html_()
        repaired = workspace.repair()
    assert str(repaired).startswith("1 fault repaired, no faults left")
    assert "name is written anew" in repaired._repr_html_()
