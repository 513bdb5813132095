"""evaluate: a test collection is measured in a workspace of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minirag._services import ingestion

Cli = Any

CORPUS = [
    {"_id": "returns", "title": "Returns", "text": "A laptop may be returned within 30 days."},
    {"_id": "repairs", "title": "", "text": "A repair takes seven working days."},
    {"_id": "delivery", "text": "Delivery is free above 50 euros."},
    {"_id": "empty", "title": "", "text": ""},
]
QUERIES = [{"_id": "q1", "text": "laptop returned"}, {"_id": "q2", "text": "free delivery"}, {"_id": "q3", "text": "x"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\treturns\t1\nq2\tdelivery\t1\n"
QUICK = ("--embedder", "hashing")


def write(folder: Path, *, corpus: Any = CORPUS, queries: Any = QUERIES, qrels: str = QRELS) -> Path:
    """Write a collection; a str is written as it is."""
    folder.mkdir(exist_ok=True)
    for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
    return folder


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small collection below the current folder."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "collection")


def test_metrics_by_mode(cli: Cli, collection: Path, tmp_path: Path) -> None:
    """A table, a row a mode, without tenant, bot or workspace being named, and nothing is left behind."""
    result = cli("evaluate", "collection", *QUICK)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].split() == ["mode", "nDCG@10", "recall@100", "MRR@10"]
    assert [line.split()[0] for line in lines[1:4]] == ["hybrid", "dense", "keyword"]
    assert lines[3].split()[1:] == ["1.000", "1.000", "1.000"]
    assert lines[4] == "2 queries, 3 documents, 1 empty documents left out"
    assert [path.name for path in tmp_path.iterdir()] == ["collection"]


def test_as_json(cli: Cli, collection: Path) -> None:
    """With what was measured, and only the modes that were asked for."""
    arguments = ("--mode", "keyword", "--mode", "dense", "--chunker", "recursive", "--fusion", "rank", "--json")
    report = cli("evaluate", "collection", *QUICK, *arguments).json
    assert set(report["metrics"]) == {"keyword", "dense"}
    assert report["settings"] == {"embedder": "hashing", "chunker": "recursive", "fusion": "rank"}
    counted = ("queries", "documents", "skipped_documents", "unjudged_queries")
    assert tuple(report[name] for name in counted) == (2, 3, 1, 1)


def test_kept_workspace_is_used_again(cli: Cli, collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run embeds nothing and measures the same; other settings and collections do not mix with it."""
    embedded = []
    finish = ingestion.ReportBuilder.finish

    def spy(builder: ingestion.ReportBuilder) -> Any:
        embedded.append(builder.embedded_texts)
        return finish(builder)

    monkeypatch.setattr(ingestion.ReportBuilder, "finish", spy)
    keep = (*QUICK, "--keep", "kept", "--json")
    first = cli("evaluate", "collection", *keep).json
    again = cli("evaluate", "collection", *keep, "--fusion", "rank").json
    assert again["metrics"]["dense"] == first["metrics"]["dense"]
    assert embedded == [3, 0]
    other = write(collection.parent / "other", corpus=[{"_id": "returns", "text": "Laptops again."}])
    assert cli("evaluate", other, *keep).json["documents"] == 1
    assert cli("evaluate", "collection", *keep, "--chunker", "recursive").code == 0
    small = '{"provider": "hashing", "options": {"dimension": 32}}'
    assert cli("evaluate", "collection", *keep, "--embedder", small).json["settings"]["embedder"] == json.loads(small)
    assert cli("evaluate", "collection", *keep).json["metrics"] == first["metrics"]
    assert embedded[-1] == 0


def test_documents_that_left_the_collection(cli: Cli, collection: Path) -> None:
    """A kept workspace follows the collection."""
    keep = (*QUICK, "--keep", "kept", "--json")
    assert cli("evaluate", "collection", *keep).json["documents"] == 3
    write(collection, corpus=CORPUS[:1] + CORPUS[2:3])
    assert cli("evaluate", "collection", *keep).json["documents"] == 2


def test_documents_are_streamed(cli: Cli, collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents are not all held at once: they go to the library as an iterator."""
    write(collection, corpus=[{"_id": str(n), "text": f"Text {n}."} for n in range(3)] + CORPUS[:3])
    given = []
    add = ingestion.add

    def spy(bot: Any, inputs: Any, **options: Any) -> Any:
        given.extend(type(value) for value in inputs)
        return add(bot, inputs, **options)

    monkeypatch.setattr("minirag.bot.add", spy)
    assert cli("evaluate", "collection", *QUICK).code == 0
    assert [kind.__name__ for kind in given] == ["generator"]


@pytest.mark.parametrize(
    ("broken", "code", "words"),
    [
        ({"corpus": "{bad\n"}, 2, "corpus.jsonl', line 1: not JSON"),
        ({"corpus": '{"text": "x"}\n'}, 2, "corpus.jsonl', line 1"),
        ({"corpus": '{"_id": "a", "text": 5}\n'}, 2, "corpus.jsonl', line 1: 'text' must be a text"),
        ({"corpus": '{"_id": "", "text": "x"}\n'}, 2, "key"),
        ({"corpus": "[" * 50_000}, 2, "corpus.jsonl', line 1: not JSON (RecursionError)"),
        ({"corpus": '{"_id": "a", "text": "x\\u0000"}\n'}, 1, "NUL"),
        ({"queries": '{"_id": "q1"}\n'}, 2, "queries must map ids to texts that are not blank"),
        ({"queries": '{"_id": "q1", "text": [1]}\n'}, 2, "queries.jsonl', line 1: 'text' must be a text"),
        ({"queries": "[]\n"}, 2, "queries.jsonl', line 1"),
        ({"queries": ""}, 2, "no query has a relevant document"),
        ({"qrels": "q1\treturns\t1\nq1\treturns\n"}, 2, "qrels.tsv', line 2"),
        ({"qrels": "q1\treturns\t²\nq1\treturns\t²\n"}, 2, "qrels.tsv', line 2"),
        ({"qrels": "q9\tnothing\t1\n"}, 2, "no query has a relevant document"),
    ],
)
def test_a_broken_collection(broken: dict[str, Any], code: int, words: str, cli: Cli, collection: Path) -> None:
    """File and line are named."""
    write(collection, **broken)
    result = cli("evaluate", "collection", *QUICK)
    assert (result.code, result.out) == (code, "")
    assert words in result.err


def test_a_collection_that_is_no_text(cli: Cli, collection: Path) -> None:
    """Files that are not UTF-8 are named."""
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        write(collection)
        (collection / name).write_bytes(b'{"_id": "a", "text": "\xff\xfe"}\n')
        result = cli("evaluate", "collection", *QUICK)
        assert result.code in (1, 2)
        assert name in result.err
        assert "UTF-8" in result.err
