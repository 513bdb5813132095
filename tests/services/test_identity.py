"""Whether an embedder still is the model that a bot's vectors come from: probed before the first write of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minirag
from minirag import DocumentInput, errors
from minirag._services.identity import _cosine, probe
from minirag._services.steps import run
from minirag.models.documents import Document
from minirag.providers.local.hashing import Hashing
from tests.services.conftest import CountingEmbedder


class Replaced(CountingEmbedder):
    """Goes by the name of `CountingEmbedder`, but has other weights."""

    def embed(self, texts: Any, *, purpose: Any) -> Any:
        return np.roll(super().embed(texts, purpose=purpose), 1, axis=1)


class Noisy(CountingEmbedder):
    """The same model, whose every answer differs in its last digits, as those of graphics cards do."""

    def embed(self, texts: Any, *, purpose: Any) -> Any:
        noise = np.random.default_rng().standard_normal((len(texts), self.space.dimension)) * 0.005
        return (super().embed(texts, purpose=purpose) + noise).astype(np.float32)


class Metered(CountingEmbedder):
    """An embedder that costs something."""

    metered = True


@contextmanager
def opened(folder: Path, embedder: Any) -> Iterator[minirag.Bot]:
    """Yield the bot of a workspace that is opened with an embedder, as by a new process."""
    with minirag.Workspace.open(folder / "kb", embedder=embedder, plugins=[]) as workspace:
        yield workspace.tenant("acme", create=True).bot("support", create=True)


def texts(count: int, *, first: int = 0) -> list[DocumentInput]:
    """Return documents of one chunk each."""
    return [DocumentInput(text=f"Kettle {n} boils in {n * 7} s.", key=f"k{n}") for n in range(first, first + count)]


def listed(bot: minirag.Bot) -> list[Document]:
    return list(bot.documents.list())


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A folder whose bot holds twenty documents."""
    with opened(tmp_path, CountingEmbedder()) as bot:
        bot.add(texts(20))
    return tmp_path


WRITES: dict[str, Callable[[minirag.Bot, Path], object]] = {
    "add": lambda bot, _: bot.add(texts(1, first=50)),
    "add the same": lambda bot, _: bot.add(texts(20)),
    "add a file": lambda bot, folder: bot.add(folder / "a.txt"),
    "ingest": lambda bot, _: bot.ingest(),
    "ingest one source": lambda bot, _: bot.sources.ingest("inline"),
}


@pytest.mark.parametrize("name", WRITES)
def test_replaced_model_is_refused(filled: Path, name: str) -> None:
    """Other weights under the same name are an error that names `reembed`, and nothing is written, not even a source."""
    (filled / "a.txt").write_text("A teapot.")
    with opened(filled, Replaced()) as bot:
        before = (listed(bot), bot.stats(), bot.sources.list())
        for _ in range(2):
            with pytest.raises(errors.EmbeddingSpaceMismatchError, match="reembed"):
                WRITES[name](bot, filled)
        assert (listed(bot), bot.stats(), bot.sources.list()) == before


class HalfReplaced(CountingEmbedder):
    """Has other weights for the texts that came last."""

    def embed(self, texts: Any, *, purpose: Any) -> Any:
        rows = super().embed(texts, purpose=purpose)
        return np.stack([row[::-1] if "Kettle 19" in text else row for text, row in zip(texts, rows, strict=True)])


def test_replaced_on_the_way_is_noticed(filled: Path) -> None:
    """The newest text is compared as well as the oldest: a bot that is half another model's is refused."""
    with opened(filled, HalfReplaced()) as bot:
        with pytest.raises(errors.EmbeddingSpaceMismatchError):
            bot.add(texts(1, first=50))
        report = run(probe(bot._context, CountingEmbedder()))
        assert report is not None
        assert report.compared == 3
        assert report.lowest > 0.999999


@pytest.mark.parametrize("embedder", [CountingEmbedder(), Noisy()], ids=["same", "noisy"])
def test_the_same_model_is_accepted(filled: Path, embedder: CountingEmbedder) -> None:
    """The same model goes on, though its numbers differ a little; three texts are embedded again, once in a process."""
    with opened(filled, embedder) as bot:
        for first in (30, 40):
            report = bot.add(texts(2, first=first))
            assert (report.counts["added"], report.embedded_texts) == (2, 2)
    assert len(embedder.documents) == 3 + 4


def test_searching_does_not_probe(filled: Path) -> None:
    """A process that only reads embeds no stored text."""
    embedder = CountingEmbedder()
    with opened(filled, embedder) as bot:
        assert len(bot.search("kettle", k=3)) == 3
        assert bot.documents.remove("k0") == 1
    assert embedder.documents == []


def test_an_empty_bot_is_not_probed(tmp_path: Path) -> None:
    """Where nothing is stored, nothing is embedded again."""
    embedder = CountingEmbedder()
    with opened(tmp_path, embedder) as bot:
        bot.ingest()
        assert run(probe(bot._context, embedder)) is None
        bot.add(texts(2))
    assert len(embedder.documents) == 2


def test_an_error_while_probing_is_passed_on_and_asked_again(filled: Path) -> None:
    """A server that is down is what an `add` would meet anyway; when it is up again, the probe takes place."""
    embedder = Replaced()
    embedder.fail_on = ""
    with opened(filled, embedder) as bot:
        with pytest.raises(errors.ProviderConnectionError, match="down"):
            bot.add(texts(1, first=50))
        embedder.fail_on = None
        with pytest.raises(errors.EmbeddingSpaceMismatchError):
            bot.add(texts(1, first=50))
        assert bot.documents.count() == 20


def test_the_probe_is_in_the_ledger(tmp_path: Path) -> None:
    """What the probe costs is entered, and is no embedding of the documents."""
    with opened(tmp_path, Metered()) as bot:
        bot.add(texts(4))
    with minirag.Workspace.open(tmp_path / "kb", embedder=Metered(), plugins=[]) as workspace:
        acme = workspace.tenant("acme")
        before = acme.usage.total().rows[0].calls
        report = acme.bot("support").add(texts(1, first=10))
        assert acme.usage.total().rows[0].calls == before + 2
        assert report.embedded_texts == 1


def test_titles_that_are_embedded_are_probed_with_them(tmp_path: Path) -> None:
    """What is embedded again is exactly what was embedded, also after the setting that decides it was changed."""
    document = DocumentInput(text="It boils.", key="k", title="The kettle")
    first = CountingEmbedder()
    with minirag.Workspace.open(tmp_path / "kb", embedder=first, plugins=[]) as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True, embed_context="title")
        bot.add(document)
        bot.update(embed_context="none")
    second = CountingEmbedder()
    with opened(tmp_path, second) as bot:
        bot.add(texts(1))
    assert second.documents[0] == first.documents[0] == "The kettle\nIt boils."


def test_vectors_of_a_replaced_model_are_not_shared(filled: Path) -> None:
    """A new bot of the tenant does not take over another one's vectors that its model does not make any more."""
    embedder = Replaced()
    with minirag.Workspace.open(filled / "kb", embedder=embedder, plugins=[]) as workspace:
        bot = workspace.tenant("acme").bot("second", create=True)
        assert bot.add(texts(5)).embedded_texts == 5
        ((_, stored),) = _vectors(bot)
        assert np.allclose(stored, embedder.embed([each.text for each in texts(5)], purpose="document"), atol=1e-6)


def test_vectors_of_the_same_model_are_shared(filled: Path) -> None:
    """A new bot of the tenant takes over what the tenant has embedded."""
    with minirag.Workspace.open(filled / "kb", embedder=CountingEmbedder(), plugins=[]) as workspace:
        assert workspace.tenant("acme").bot("second", create=True).add(texts(5)).embedded_texts == 0


def test_the_bundled_embedders_are_far_above_the_margin(tmp_path: Path) -> None:
    """Embedding stored texts again, in another batch, gives cosines that leave room below."""
    for number, name in enumerate(("minilm", "hashing")):
        with minirag.Workspace.open(tmp_path / "kb", plugins=[]) as workspace:
            bot = workspace.tenant("acme", create=True).bot(f"b{number}", create=True, embedder=name)
            bot.add(texts(5))
            report = run(probe(bot._context, bot._context.core.engines.embedder(bot._context, bot._context.load())))
            assert report is not None
            assert report.lowest > 0.9999


def test_a_vector_of_zeros_is_itself() -> None:
    """A text that an embedder gives no direction is the same text, and no other model."""

    class Zeros(Hashing):
        def embed(self, texts: Any, *, purpose: Any) -> Any:
            return np.zeros((len(texts), self.space.dimension), np.float32)

    zeros = Zeros(dimension=4).embed(["x"], purpose="document")[0]
    assert _cosine(zeros, zeros) == 1.0
    assert _cosine(zeros, np.array([1, 0, 0, 0], np.float32)) == 0.0


def _vectors(bot: minirag.Bot) -> list[tuple[Any, Any]]:
    with bot._context.core.storage.read(bot._context.scope) as reader:
        return list(reader.vectors(bot.id))
