"""Retrieval quality: judged queries in, nDCG@10, recall@100 and MRR@10 out."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from minirag._services.core import BotContext
from minirag._services.retrieval import MODES, check_request, search
from minirag._services.steps import Steps
from minirag.errors import InvalidInputError, SourceNotFoundError
from minirag.models.checks import check_choice, check_integer, check_text, clipped
from minirag.models.documents import DocumentInput
from minirag.models.reports import EvaluationReport
from minirag.types import SearchMode

__all__ = ["Collection", "evaluate", "load_collection", "mean_metrics", "query_metrics"]

METRICS: Final = ("nDCG@10", "recall@100", "MRR@10")
_DEPTH: Final = 100
_GRADE: Final = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Collection:
    """A test collection in BEIR's layout: documents, queries by id, and grades by query id and document key."""

    folder: Path
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]

    def documents(self) -> Iterator[DocumentInput]:
        """Yield each document, title and text as its text; empty ones come with an empty text."""
        for row in _json_lines(self.folder / "corpus.jsonl"):
            text = " ".join(part for part in (row.get("title"), row.get("text")) if part)
            yield DocumentInput(text=text, key=str(row["_id"]))


def load_collection(folder: str | Path) -> Collection:
    """Return the test collection in a folder with `corpus.jsonl`, `queries.jsonl` and `qrels.tsv`.

    Raises:
        SourceNotFoundError: if a file is missing.
        InvalidInputError: if one cannot be read.
    """
    place = Path(folder)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        if not (place / name).is_file():
            raise SourceNotFoundError(
                f"{str(place / name)!r} does not exist; a test collection has corpus.jsonl, queries.jsonl and qrels.tsv"
            )
    queries = {str(row["_id"]): row.get("text") or "" for row in _json_lines(place / "queries.jsonl")}
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(place / "qrels.tsv"):
        cells = line.rstrip("\r\n").split("\t")
        if not line.strip() or (number == 1 and not _GRADE.fullmatch(cells[-1])):
            continue
        if len(cells) != 3 or not _GRADE.fullmatch(cells[2]):
            raise InvalidInputError(f"{str(place / 'qrels.tsv')!r}, line {number}: must be query-id, corpus-id, score")
        qrels.setdefault(cells[0], {})[cells[1]] = int(cells[2])
    return Collection(place, queries, qrels)


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file; their `title` and `text` are texts, null or missing."""
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as problem:
            reason = getattr(problem, "msg", type(problem).__name__)
            raise InvalidInputError(f"{str(path)!r}, line {number}: not JSON ({reason})") from problem
        if not isinstance(row, dict) or "_id" not in row:
            raise InvalidInputError(f"{str(path)!r}, line {number}: must be an object with '_id' and 'text'")
        for name in ("title", "text"):
            if not isinstance(row.get(name), str | None):
                raise InvalidInputError(f"{str(path)!r}, line {number}: {name!r} must be a text")
        yield row


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file, numbered from 1."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from enumerate(file, start=1)
    except UnicodeDecodeError as problem:
        raise InvalidInputError(f"{str(path)!r} is not UTF-8 text") from problem


def evaluate(bot: BotContext, queries: object, qrels: object, modes: Sequence[str] = MODES) -> Steps[EvaluationReport]:
    """Return the mean of each metric over the queries that have a relevant document; a document counts by its best chunk."""
    texts, grades = _check_judgements(queries, qrels)
    judged = [name for name in texts if any(grade > 0 for grade in grades.get(name, {}).values())]
    if not judged:
        raise InvalidInputError("no query has a relevant document in qrels; the ids of queries and qrels must agree")
    bot.allow("bots.evaluate")
    with bot.core.storage.read(bot.scope) as reader:
        bot.record(reader)
        documents, chunks = reader.count_documents(bot.bot_id), reader.stats(bot.bot_id).chunks
    metrics: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    for mode in [check_choice("mode", mode, MODES) for mode in modes]:
        began = time.perf_counter()
        rows = []
        for name in judged:
            ranked = yield from _ranked_documents(bot, texts[name], mode, documents=documents, chunks=chunks)
            rows.append(query_metrics(ranked, grades[name]))
        metrics[mode] = mean_metrics(rows)
        seconds[mode] = time.perf_counter() - began
    return EvaluationReport(
        metrics=metrics,
        queries=len(judged),
        documents=documents,
        unjudged_queries=len(texts) - len(judged),
        seconds=seconds,
    )


def _ranked_documents(
    bot: BotContext, query: str, mode: SearchMode, *, documents: int, chunks: int
) -> Steps[list[str]]:
    """Return the keys of the best documents; more chunks are asked for until there are enough documents."""
    wanted = min(_DEPTH, documents)
    k = max(1, min(_DEPTH if chunks == documents else 3 * _DEPTH, max(chunks, 1)))
    while True:
        results = yield from search(bot, check_request(query, k=k, mode=mode))
        keys = list(dict.fromkeys(hit.key for hit in results))
        if len(keys) >= wanted or len(results) < k or k >= min(chunks, 10_000):
            return keys[:_DEPTH]
        k = min(2 * k, 10_000)


def query_metrics(ranked: Sequence[str], grades: Mapping[str, int]) -> dict[str, float]:
    """Return one query's metrics: nDCG@10 with linear gain as trec_eval has it, recall@100, MRR@10."""
    relevant = {key for key, grade in grades.items() if grade > 0}
    gained = sum(max(0, grades.get(key, 0)) / math.log2(rank + 1) for rank, key in enumerate(ranked[:10], start=1))
    best = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:10]
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, start=1))
    first = next((rank for rank, key in enumerate(ranked[:10], start=1) if key in relevant), None)
    return {
        "nDCG@10": gained / ideal if ideal else 0.0,
        "recall@100": len(relevant.intersection(ranked[:100])) / len(relevant) if relevant else 0.0,
        "MRR@10": 1.0 / first if first else 0.0,
    }


def mean_metrics(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in METRICS}


def _check_judgements(queries: object, qrels: object) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    if not isinstance(queries, Mapping) or not all(isinstance(t, str) and t.strip() for t in queries.values()):
        raise InvalidInputError(f"queries must map ids to texts that are not blank, not {clipped(queries)}")
    if not isinstance(qrels, Mapping) or not all(isinstance(row, Mapping) for row in qrels.values()):
        raise InvalidInputError(
            f"qrels must map query ids to mappings of document keys to grades, not {clipped(qrels)}"
        )
    for row in qrels.values():
        for key, grade in row.items():
            check_text("a document key in qrels", key, maximum=8_000)
            check_integer(f"qrels: the grade of {clipped(key)}", grade, minimum=-1_000, maximum=1_000)
    return dict(queries), {str(name): dict(row) for name, row in qrels.items()}
