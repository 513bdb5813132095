"""Moving a bot to another embedder: what it does, what it reports, and a model that was replaced under its name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minirag
from minirag import DocumentInput, errors
from minirag.interfaces import EmbeddingSpace
from minirag.models.reports import ReembedProgress
from tests.services.conftest import CountingEmbedder
from tests.services.moving import Target, check_moved, document, fill, rows


class Negated(Target):
    """Goes by the name of `Target`, but has other weights."""

    def embed(self, texts: Any, *, purpose: Any) -> Any:
        return -super().embed(texts, purpose=purpose)


@pytest.fixture
def target() -> Target:
    return Target()


def test_moves_a_bot(bot: minirag.Bot, embedder: CountingEmbedder, target: Target, tmp_path: Path) -> None:
    """Every chunk gets a vector of the new space, and the bot is searched and added to in it from then on."""
    fill(bot, 50)
    before = [(each.id, each.version_id) for each in bot.documents.list()]
    report = bot.reembed(target)
    assert (report.moved, report.chunks, report.embedded_texts, report.dropped_vectors) == (True, 50, 50, 50)
    assert bot.profile.embedder.options == {"name": target.space.fingerprint}
    assert bot.stats().space == str(target.space)
    assert [(each.id, each.version_id) for each in bot.documents.list()] == before
    embedded = len(embedder.documents), len(embedder.queries)
    fill(bot, 5, first=50)
    check_moved(bot, tmp_path, target)
    assert (len(embedder.documents), len(embedder.queries)) == embedded


def test_is_found_moved_by_another_process(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """A workspace opened beside it searches in the new space at once, if it was given the embedder, and adds in it."""
    fill(bot, 40)
    with minirag.Workspace.open(tmp_path / "kb", embedder=CountingEmbedder()) as other:
        twin = other.tenant("acme").bot("support")
        assert len(twin.search("kettle", k=3)) == 3
        twin._context.core.engines.refer("embedder", target, tenant_id=None)
        bot.reembed(target)
        assert twin.search("Kettle 33 boils", k=1)[0].key == "k33"
        fill(twin, 3, first=40)
        check_moved(twin, tmp_path, target)


def test_there_and_back(bot: minirag.Bot, embedder: CountingEmbedder, target: Target, tmp_path: Path) -> None:
    """A bot may return to the space it left; nothing of the other one stays."""
    fill(bot, 40)
    bot.reembed(target)
    check_moved(bot, tmp_path, target)
    bot.documents.remove("k1")
    report = bot.reembed(embedder)
    assert (report.moved, report.embedded_texts) == (True, 39)
    check_moved(bot, tmp_path, embedder)


@pytest.mark.parametrize(
    "given", ["hashing", {"provider": "hashing", "options": {"dimension": 32}}], ids=["name", "mapping"]
)
def test_takes_what_a_bot_takes(bot: minirag.Bot, given: Any, tmp_path: Path) -> None:
    """An embedder is named, described or given, as when a bot is made; a named one is there in every process."""
    fill(bot, 5)
    bot.reembed(given)
    with minirag.Workspace.open(tmp_path / "kb") as again:
        assert again.tenant("acme").bot("support").search(document(3).text, mode="dense", k=1)[0].key == "k3"


def test_what_the_bot_has_already(bot: minirag.Bot, embedder: CountingEmbedder) -> None:
    """Its own embedder moves nothing: three texts are compared, none is stored anew."""
    fill(bot, 20)
    count = len(embedder.documents)
    report = bot.reembed(embedder)
    assert (report.moved, report.embedded_texts, report.chunks) == (False, 0, 20)
    assert len(embedder.documents) == count + 3


def test_an_empty_bot_moves(bot: minirag.Bot, target: Target) -> None:
    """A bot without documents is moved without a call."""
    report = bot.reembed(target)
    assert (report.moved, report.chunks) == (True, 0)
    assert target.documents == []
    fill(bot, 1)
    assert len(target.documents) == 1


def test_equal_texts_are_embedded_once(bot: minirag.Bot, target: Target) -> None:
    """A text that several chunks share is sent once."""
    bot.add([DocumentInput(text="The same text.", key=f"k{n}") for n in range(30)])
    report = bot.reembed(target)
    assert (report.embedded_texts, report.chunks) == (1, 30)
    assert report.reused_vectors == 30 - target.batch_size


def test_vectors_of_the_tenant_are_reused(workspace: minirag.Workspace, bot: minirag.Bot, target: Target) -> None:
    """What another bot of the tenant holds in the new space is not embedded again, once it has been compared."""
    other = workspace.tenant("acme").bot("other", create=True, embedder=target)
    fill(other, 10)
    fill(bot, 20)
    report = bot.reembed(target)
    assert (report.embedded_texts, report.reused_vectors) == (10, 10)
    assert len(target.documents) == 10 + 3 + 10


def test_vectors_of_a_replaced_model_are_not_reused(workspace: minirag.Workspace, bot: minirag.Bot) -> None:
    """What another bot of the tenant holds under the same name, but from other weights, does not serve."""
    fill(workspace.tenant("acme").bot("other", create=True, embedder=Target()), 20)
    fill(bot, 20)
    report = bot.reembed(Negated())
    assert (report.embedded_texts, report.reused_vectors) == (20, 0)


def test_titles_are_embedded_as_before(workspace: minirag.Workspace, target: Target) -> None:
    """With `embed_context="title"` the title is in front of the text again."""
    bot = workspace.tenant("acme", create=True).bot("b", create=True, embed_context="title")
    bot.add(DocumentInput(text="It boils.", key="k", title="The kettle"))
    bot.reembed(target)
    assert target.documents == ["The kettle\nIt boils."]


def test_the_ledger_has_it(bot: minirag.Bot, workspace: minirag.Workspace, target: Target) -> None:
    """Each call of an embedder that costs something is entered."""
    fill(bot, 20)
    bot.reembed(target)
    (row,) = workspace.tenant("acme").usage.total().rows
    assert (row.kind, row.model, row.calls) == ("embedding", "target", 3)


def test_progress_is_told(bot: minirag.Bot, target: Target) -> None:
    """A callback hears of each batch that is durable, and of the end."""
    fill(bot, 20)
    steps: list[ReembedProgress] = []
    bot.reembed(target, progress=steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [
        ("embedded", 8, 20), ("embedded", 16, 20), ("embedded", 20, 20), ("finished", 20, 20),
    ]  # fmt: skip


def test_what_the_model_knows_is_counted_anew(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """The known share of the documents' words, which weighs hybrid search, is the new embedder's, also after a removal."""
    fill(bot, 10)

    def known() -> tuple[int, float]:
        with bot._context.core.storage.read(bot._context.scope) as reader:
            return reader.familiarity(bot.id)

    assert known() == (0, 0.0)
    target.waiting.append(lambda: fill(bot, 1, first=10))
    bot.reembed(target)
    words = [len(bot.documents.text(f"k{number}").split()) for number in range(11)]
    assert known() == (sum(words), sum(words) / 2)
    assert bot.search("kettle", k=1).trace.weight is not None
    bot.documents.remove("k3")
    assert known() == (sum(words) - words[3], (sum(words) - words[3]) / 2)


# ---------------------------------------------------------------- limits of the new model
def test_long_chunks_are_counted(bot: minirag.Bot, target: Target) -> None:
    """Chunks of which the new model reads only the beginning are told of."""
    bot.add(document(1), DocumentInput(text="Kettle. " * 40, key="long"))
    report = bot.reembed(target)
    assert (report.long_chunks, report.max_tokens) == (1 + (target.count_tokens(document(1).text) > 12), 12)
    assert "longer than 12 tokens" in str(report)


def test_rechunk_cuts_anew(bot: minirag.Bot, target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With `rechunk=True` documents are cut as the new embedder counts; chunks that stay the same keep their vectors."""
    monkeypatch.setattr(target, "count_tokens", lambda text: len(text) * 2)
    bot.add(DocumentInput(text="Short.", key="short"))
    bot.add(DocumentInput(text="\n\n".join(f"Paragraph {n} of the kettle book." for n in range(10)), key="long"))
    assert bot.documents.get("long").chunks == 1
    report = bot.reembed(target, rechunk=True)
    assert report.rechunked is not None
    assert report.rechunked.counts["updated"] == 2
    assert bot.documents.get("long").chunks > 1
    assert report.chunks == bot.stats().chunks > 2
    assert bot.stats().stale == 0
    assert target.documents.count("Short.") == 1
    assert "cut anew" in repr(report)


def test_rechunk_goes_on_after_a_failure(bot: minirag.Bot, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was moved but not cut anew is cut by the next `ingest()`."""
    monkeypatch.setattr(target, "count_tokens", lambda text: len(text) * 2)
    bot.add(DocumentInput(text="\n\n".join(f"Paragraph {n} of the kettle book." for n in range(10)), key="long"))
    target.waiting.append(lambda: setattr(target, "fail_on", "Paragraph 3"))
    with pytest.raises(errors.ProviderConnectionError):
        bot.reembed(target, rechunk=True)
    target.fail_on = None
    assert bot.stats().space != str(target.space)
    bot.reembed(target)
    assert bot.documents.get("long").chunks == 1
    target.waiting += [lambda: setattr(target, "fail_on", "Paragraph 3"), lambda: None]
    with pytest.raises(errors.ProviderConnectionError):
        bot.reembed(target, rechunk=True)
    target.fail_on = None
    assert bot.stats().stale == 1
    bot.ingest()
    assert bot.documents.get("long").chunks > 1


# ---------------------------------------------------------------- the same name, another model
class Replaced(CountingEmbedder):
    """Goes by the name of `CountingEmbedder`, but has other weights."""

    def embed(self, texts: Any, *, purpose: Any) -> Any:
        return np.roll(super().embed(texts, purpose=purpose), 1, axis=1)


def test_a_model_replaced_under_its_name(bot: minirag.Bot, tmp_path: Path) -> None:
    """Called on purpose, `reembed` moves a bot to the new weights though the space has the same name, and again later."""
    fill(bot, 20)
    fingerprints = [bot._context.load().space.fingerprint]
    for embedder in (Replaced(), CountingEmbedder(), Replaced()):
        with minirag.Workspace.open(tmp_path / "kb", embedder=embedder) as workspace:
            again = workspace.tenant("acme").bot("support")
            with pytest.raises(errors.EmbeddingSpaceMismatchError, match="reembed"):
                fill(again, 1, first=20)
            report = again.reembed(embedder)
            assert (report.moved, report.embedded_texts) == (True, 20)
            fill(again, 1, first=20)
            assert again.search(document(12).text, k=1, mode="dense")[0].key == "k12"
            again.documents.remove("k20")
            fingerprints.append(again._context.load().space.fingerprint)
            assert rows(tmp_path, "SELECT DISTINCT space FROM embeddings") == [(fingerprints[-1],)]
    assert len(set(fingerprints)) == 4


def test_left_over_vectors_of_a_replaced_model_are_made_anew(bot: minirag.Bot, target: Target, tmp_path: Path) -> None:
    """A move that is taken up again with other weights under the same name begins anew."""
    fill(bot, 40)

    def interrupt() -> None:
        raise KeyboardInterrupt

    target.waiting += [interrupt, lambda: None, lambda: None]
    with pytest.raises(KeyboardInterrupt):
        bot.reembed(target)
    assert len(rows(tmp_path, "SELECT * FROM embeddings")) == 40 + 16

    other = Negated()
    report = bot.reembed(other)
    assert (report.embedded_texts, report.reused_vectors) == (40, 0)
    with bot._context.core.storage.read(bot._context.scope) as reader:
        ((_, vectors),) = reader.vectors(bot.id)
    assert np.allclose(vectors[0], other.embed([document(0).text.rstrip()], purpose="document")[0], atol=1e-6)


# ---------------------------------------------------------------- the other face, and what is shown
def test_the_asynchronous_face(tmp_path: Path, target: Target) -> None:
    """`await bot.reembed(...)` does the same; cancelled, it stops after the batch in hand and leaves the bot as it was."""

    async def main() -> None:
        async with minirag.AsyncWorkspace.open(tmp_path / "kb", embedder=CountingEmbedder()) as workspace:
            acme = await workspace.tenant("acme", create=True)
            bot = await acme.bot("support", create=True)
            await bot.add([document(number) for number in range(40)])
            profile = bot.profile
            loop = asyncio.get_running_loop()
            task = asyncio.ensure_future(bot.reembed(target))
            target.waiting += [lambda: loop.call_soon_threadsafe(task.cancel), lambda: None]
            with pytest.raises(asyncio.CancelledError):
                await task
            assert bot.profile == profile
            assert len(await bot.search("kettle", k=3)) == 3
            report = await bot.reembed(target)
            assert report.moved
            assert report.embedded_texts < 40
            assert bot.profile != profile
            check_moved(bot._bot, tmp_path, target)

    asyncio.run(main())


def test_the_report_is_shown(bot: minirag.Bot) -> None:
    """The report tells itself in a line and as a table, in which nothing is markup."""
    fill(bot, 2)
    report = bot.reembed(Target("<b>bold</b>"))
    assert repr(report).startswith(
        "ReembedReport(moved to tests:<b>bold</b> (96 dimensions); 2 chunks, 2 texts embedded"
    )
    assert "&lt;b&gt;bold" in report._repr_html_()
    assert "<b>bold" not in report._repr_html_()


def test_generations_and_names() -> None:
    """A space's generation tells vectors apart, but not embedders."""
    plain = EmbeddingSpace(provider="p", model="m", dimension=2)
    later = plain.model_copy(update={"generation": "x:1"})
    assert plain.fingerprint != later.fingerprint
    assert later.matches(plain)
    assert plain.matches(plain)
    assert not later.matches(EmbeddingSpace(provider="p", model="other", dimension=2))
