"""What must hold between a bot and what the oracle expects of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from minirag.models.answers import Answer
from minirag.models.documents import Document
from minirag.models.metadata import encode_metadata
from minirag.models.search import Hit, SearchResults
from minirag.testing.machine_oracle import ExpectedBot, ExpectedChunk, words_of

__all__ = ["check_answer", "check_bot", "check_count", "check_search", "check_sources", "check_versions", "show"]

_TOLERANCE: Final = 2e-6
_SIX_DECIMALS: Final = 1e-6


def show(results: SearchResults) -> list[tuple[object, ...]]:
    """Return what two workspaces over one database must agree on."""
    return [(hit.source_name, hit.key, hit.start, hit.chunk_id, hit.score, hit.ranks) for hit in results]


def check_bot(bot: Any, expected: ExpectedBot) -> None:
    """Fail unless documents, counts and the position of the log are as expected."""
    check_documents(bot.documents.list(), expected, list(expected.documents))
    stats = bot.stats().model_dump()
    found = {name: stats[name] for name in expected.numbers()}
    assert found == expected.numbers(), f"stats() says {found}, not {expected.numbers()}"


def check_sources(bot: Any, expected: ExpectedBot) -> None:
    """Fail unless sources and chats are as expected."""
    sources = [(source.name, encode_metadata(source.metadata)) for source in bot.sources.list()]
    wanted = [(source.name, encode_metadata(source.metadata)) for source in expected.sources.values()]
    assert sources == wanted, f"sources are {sources}, not {wanted}"
    chats = [chat.id for chat in bot.chats.list()]
    assert chats == list(reversed(expected.chats)), f"chats are {chats}, not {expected.chats}"


def check_documents(documents: Sequence[Document], expected: ExpectedBot, names: list[tuple[str, str]]) -> None:
    """Fail unless exactly the documents of these names are listed, in their order, as they are expected."""
    sources = expected.sources
    found = [(document.source_name, document.key) for document in documents]
    wanted = [(sources[label].name, key) for label, key in names]
    assert found == wanted, f"documents are {found}, not {wanted}"
    for document, name in zip(documents, names, strict=True):
        model = expected.documents[name]
        assert document.title == model.title, f"{name}: title {document.title!r}, not {model.title!r}"
        written, meant = encode_metadata(document.metadata), encode_metadata(model.metadata)
        assert written == meant, f"{name}: metadata {written}, not {meant}"
        facts = (document.characters, document.chunks, document.stale)
        assert facts == (len(model.text), len(model.spans), model.stale), f"{name}: characters, chunks, stale: {facts}"


def check_versions(bot: Any, expected: ExpectedBot) -> None:
    """Fail unless every version of every document still has its exact text."""
    for (label, key), model in expected.documents.items():
        source = expected.sources[label].name
        assert bot.documents.text(key, source=source) == model.text
        versions = bot.documents.versions(key, source=source)
        texts = [bot.documents.text(key, version_id=version.id) for version in versions]
        assert texts == model.texts, f"{key!r} has {len(texts)} versions, not {len(model.texts)}, or other texts"
        document = bot.documents.get(key, source=source)
        assert document.version_id == versions[0].id
        assert document.source_id == bot.sources.get(source).id


def check_count(results: SearchResults, k: int, found: int) -> None:
    """Fail unless there are exactly min(k, found) hits, none twice, best first."""
    assert len(results) == min(k, found), f"{len(results)} hits, not min({k}, {found})"
    assert len({(hit.bot, hit.chunk_id) for hit in results}) == len(results), "a chunk was returned twice"
    scores = [hit.score for hit in results]
    ordered = all(first >= second - _SIX_DECIMALS for first, second in pairwise(scores))
    assert ordered, f"scores are not in descending order: {scores}"


def check_search(
    results: SearchResults, expected: ExpectedBot, *, query: str, k: int, where: Mapping[str, Any] | None, mode: str
) -> None:
    """Fail unless a search found exactly what it must, with every field and, for dense search, every score right."""
    chunks = {(chunk.source, chunk.key, chunk.start): chunk for chunk in expected.chunks(where)}
    if mode == "keyword":
        chunks = {place: chunk for place, chunk in chunks.items() if chunk.words & words_of(query)}
    check_count(results, k, len(chunks))
    for hit in results:
        place = (hit.source_name, hit.key, hit.start)
        assert place in chunks, f"{place} is no chunk that may be found"
        _check_hit(hit, chunks[place])
    scores = [hit.score for hit in results]
    if mode == "dense":
        _check_cosines(results, expected, query, chunks)
    elif mode == "keyword":
        assert all(score > 0 for score in scores), f"keyword scores must be positive: {scores}"
    else:
        assert all(0 <= score <= 1 for score in scores), f"hybrid scores lie in [0, 1]: {scores}"
    for first, second in pairwise(results):
        if first.score == second.score:
            tie = (first.source_name, first.key, first.start), (second.source_name, second.key, second.start)
            assert tie[0] < tie[1], f"a tie is not broken by source name, key and start: {tie}"


def _check_hit(hit: Hit, chunk: ExpectedChunk) -> None:
    assert (hit.text, hit.end) == (chunk.text, chunk.end), f"{hit.key!r}: the text is not that of its span"
    assert hit.title == chunk.title, f"{hit.key!r}: title {hit.title!r}, not {chunk.title!r}"
    assert encode_metadata(hit.metadata) == encode_metadata(chunk.metadata), f"{hit.key!r}: metadata {hit.metadata}"


def _check_cosines(
    results: SearchResults,
    expected: ExpectedBot,
    query: str,
    chunks: Mapping[tuple[str, str, int], ExpectedChunk],
) -> None:
    cosines = dict(zip(chunks, expected.cosines(query, list(chunks.values())), strict=True))
    own = [cosines[(hit.source_name, hit.key, hit.start)] for hit in results]
    scores = [hit.score for hit in results]
    assert np.allclose(scores, own, rtol=0, atol=_TOLERANCE), "dense scores are not the cosines of the chunks"
    best = sorted(cosines.values(), reverse=True)[: len(results)]
    assert np.allclose(scores, best, rtol=0, atol=_TOLERANCE), "dense search did not return the nearest"


def check_answer(answer: Answer, expected: ExpectedBot) -> None:
    """Fail unless every citation is an exact span of a present document, and an answer without one abstains."""
    assert answer.abstained == (not answer.citations), "an answer has citations, or abstains"
    by_source = {source.name: label for label, source in expected.sources.items()}
    for citation in answer.citations:
        assert citation.verify(), "a citation does not verify"
        model = expected.documents[(by_source[citation.source_name], citation.key)]
        assert model.text[citation.start : citation.end] == citation.quote, "a citation is not of its span"
        assert citation.marker in answer.text, "a citation has no marker in the text"
