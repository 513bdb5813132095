"""Whether an embedder still is the one that a bot's stored vectors come from: some stored texts are embedded again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from minirag._services.core import BotContext
from minirag._services.embedding import embed
from minirag._services.ledger import Ledger
from minirag._services.planning import content_hash, embedded_text
from minirag._services.steps import Steps
from minirag.errors import BudgetExceededError, EmbeddingError, EmbeddingSpaceMismatchError, MiniRAGError, ProviderError
from minirag.interfaces import Embedder
from minirag.interfaces.records import ChunkText
from minirag.models.tenants import BotRecord

if TYPE_CHECKING:
    from minirag.types import Vector

__all__ = ["MINIMUM_COSINE", "SAMPLE_TEXTS", "IdentityReport", "assure", "compare", "mismatch", "probe", "text_of"]

SAMPLE_TEXTS: Final = 3
MINIMUM_COSINE: Final = 0.99
"""What a model's vector of a text has with its earlier one, at least; see "The margin" in docs/explanation/consistency.md."""


@dataclass(frozen=True, slots=True)
class IdentityReport:
    """What comparing new vectors with stored ones gave.

    Attributes:
        compared: how many texts were embedded again.
        lowest: the lowest cosine of a text's two vectors.
    """

    compared: int
    lowest: float

    @property
    def same(self) -> bool:
        """Whether the embedder is taken for the one that made the stored vectors."""
        return self.lowest >= MINIMUM_COSINE


def assure(bot: BotContext, record: BotRecord, embedder: Embedder) -> Steps[MiniRAGError | None]:
    """Raise if the bot's embedder is not the one that its vectors come from; asked once per process, bot and space.

    Where the embedder fails, which proves nothing, its error is returned: it is to be raised when there is something to
    embed, so that it is told of what could not be embedded, and the next call asks again.

    Raises:
        EmbeddingSpaceMismatchError: if its vectors of stored texts are others than those stored.
    """
    name = (bot.scope.tenant_id, bot.bot_id, record.space.fingerprint)
    if name in bot.core.probed:
        return None
    try:
        report = yield from probe(bot, embedder)
    except (ProviderError, EmbeddingError, BudgetExceededError) as problem:
        return problem
    if report is not None and not report.same:
        raise EmbeddingSpaceMismatchError(mismatch(record, report))
    bot.core.probed.add(name)
    return None


def mismatch(record: BotRecord, report: IdentityReport) -> str:
    """Return what is said of an embedder that is not the one it was."""
    return (
        f"embedder {record.profile.embedder} of bot {record.profile.name!r} answers with other vectors than those "
        f"stored, though it goes by the same name ({record.space}): of {report.compared} stored texts embedded again, "
        f"one has a cosine of {report.lowest:.3f} with its stored vector, where the same model gives at least "
        f"{MINIMUM_COSINE}; nothing was written. If the model was replaced on purpose, call bot.reembed(embedder)"
    )


def probe(bot: BotContext, embedder: Embedder, *, space: str | None = None) -> Steps[IdentityReport | None]:
    """Return how an embedder's vectors of up to three stored texts compare with those stored; None if none are stored.

    The oldest, the newest and one in between are taken, so that a model replaced on the way is noticed as well.

    Args:
        bot: whose texts they are.
        embedder: what embeds them again. The call is entered in the ledger, if it costs something.
        space: the fingerprint of the stored vectors' space, where it is not the bot's own.
    """
    bot.core.check()
    with bot.core.storage.read(bot.scope) as reader:
        samples = reader.sample_texts(bot.bot_id, SAMPLE_TEXTS, space=space)
    texts = {chunk.key: text_of(chunk) for chunk, _ in samples}
    # A text that cannot be told any more, as its title changed, proves nothing about the embedder.
    stored = {text: vector for chunk, vector in samples if (text := texts[chunk.key]) is not None}
    return (yield from compare(bot, embedder, stored))


def compare(bot: BotContext, embedder: Embedder, stored: Mapping[str, Vector]) -> Steps[IdentityReport | None]:
    """Return how an embedder's vectors of texts compare with those stored for them; None if none are given."""
    if not stored:
        return None
    fresh = yield from embed(embedder, list(stored), purpose="document", ledger=Ledger(bot))
    lowest = min(_cosine(new, old) for new, old in zip(fresh, stored.values(), strict=True))
    return IdentityReport(len(stored), lowest)


def text_of(chunk: ChunkText) -> str | None:
    """Return what was embedded for a chunk, told by its hash: its text, with or without the title; None if neither."""
    for text in (chunk.text, embedded_text(chunk.text, chunk.title)):
        if content_hash(text) == chunk.content_hash:
            return text
    return None


def _cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two vectors of length one, or of none: two vectors of zeros are the same."""
    if one.shape != other.shape:
        return -1.0
    if not one.any() and not other.any():
        return 1.0
    return float(np.vecdot(one.astype(np.float64), other.astype(np.float64)))
