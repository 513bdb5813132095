"""What must hold of a bot whatever happened to it, found out through its public face and behind its back."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from minirag.bot import Bot
from minirag.models.documents import Document
from minirag.models.search import Hit
from minirag.types import SearchMode
from tests.crash.operations import FOLDER, WORD, Add, AddFolder, Content, Contents, Name, Operation

__all__ = ["check_whole", "database", "expect"]

_MODES: tuple[SearchMode, ...] = ("dense", "keyword", "hybrid")
_EVERYTHING = 10_000


@contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to the workspace's database, past the library."""
    with closing(sqlite3.connect(folder / "kb" / "minirag.sqlite3")) as connection:
        yield connection


def check_whole(bot: Bot, folder: Path) -> Contents:
    """Return what the bot's documents hold; fail if anything is half there, left over, or told differently elsewhere."""
    documents = {(document.source_name, document.key): document for document in bot.documents.list()}
    contents = {name: _content(bot, name, document) for name, document in documents.items()}
    assert len(documents) == bot.documents.count() == bot.stats().documents
    _check_search(bot, documents, contents)
    with database(folder) as connection:
        _check_rows(bot, connection, documents, contents)
        _check_log(bot, connection)
    return contents


def _content(bot: Bot, name: Name, document: Document) -> Content:
    source, key = name
    assert bot.documents.get(key, source=source) == document
    text = bot.documents.text(key, source=source)
    assert len(text) == document.characters
    return Content(text, document.metadata.get("revision"))


def _check_search(bot: Bot, documents: dict[Name, Document], contents: Contents) -> None:
    """Fail unless each way of searching returns every chunk of every document, exact pieces of it, and nothing else."""
    for mode in _MODES:
        found: dict[Name, list[Hit]] = defaultdict(list)
        for hit in bot.search(WORD, k=_EVERYTHING, mode=mode):
            found[(hit.source_name, hit.key)].append(hit)
        assert found.keys() == documents.keys(), mode
        assert sum(map(len, found.values())) == bot.stats().chunks
        for name, hits in found.items():
            document, content = documents[name], contents[name]
            assert len(hits) == len({hit.chunk_id for hit in hits}) == document.chunks
            end = 0
            for hit in sorted(hits, key=lambda each: each.start):
                assert hit.version_id == document.version_id
                assert hit.text == content.text[hit.start : hit.end]
                assert hit.metadata.get("revision") == content.revision
                assert not content.text[end : hit.start].strip(), "no chunk covers this part"
                end = hit.end
            assert not content.text[end:].strip()


def _check_rows(bot: Bot, connection: sqlite3.Connection, documents: dict[Name, Document], contents: Contents) -> None:
    """Fail if the file is damaged, a row has lost its parent or its children, or a counter is off."""
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    stats = bot.stats()
    chunks = Counter(dict(connection.execute("SELECT document_id, count(*) FROM chunks GROUP BY document_id")))
    assert chunks == {document.id: document.chunks for document in documents.values()}
    assert stats.chunks == chunks.total() == connection.execute("SELECT count(*) FROM embeddings").fetchone()[0]
    assert stats.characters == sum(len(content.text) for content in contents.values())
    without_vector = """SELECT count(*) FROM chunks LEFT JOIN embeddings
        ON chunk_key = key AND embeddings.bot_id = chunks.bot_id WHERE vector IS NULL"""
    assert connection.execute(without_vector).fetchone() == (0,)
    cut_short = """SELECT count(*) FROM document_versions v WHERE characters != coalesce(
        (SELECT sum(length(text)) FROM text_blocks b WHERE b.version_id = v.id AND b.tenant_id = v.tenant_id), 0)"""
    assert connection.execute(cut_short).fetchone() == (0,)
    without_version = "SELECT count(*) FROM documents WHERE version_id NOT IN (SELECT id FROM document_versions)"
    assert connection.execute(without_version).fetchone() == (0,)


def _check_log(bot: Bot, connection: sqlite3.Connection) -> None:
    """Fail unless the log has no gap, ends where the bot says, and replayed from its beginning gives the present chunks."""
    rows = connection.execute("SELECT sequence, nonce, removed, added FROM change_log ORDER BY sequence").fetchall()
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert bot.stats().sequence == len(rows)
    assert connection.execute("SELECT nonce FROM bot_logs").fetchone()[0] == (rows[-1][1] if rows else 0)
    assert all(row[1] != 0 for row in rows)
    present: set[int] = set()
    ever: list[int] = []
    for _, _, removed, added in rows:
        gone, came = (np.frombuffer(keys, "<i8").tolist() for keys in (removed, added))
        assert present >= set(gone)
        present = (present - set(gone)) | set(came)
        ever += set(came) - set(gone)
    assert len(ever) == len(set(ever)), "a chunk's key was used twice"
    assert present == {row[0] for row in connection.execute("SELECT key FROM chunks")}


def expect(found: Contents, operation: Operation, committed: set[str], before: Contents) -> None:
    """Fail unless the documents are as they may be when an operation was cut short.

    Each document of an `add` is as it was or as it was to be, the latter if it was acknowledged. A removal happened to
    all that it names, or to none.
    """
    after = operation.after(before)
    if not isinstance(operation, Add | AddFolder):
        assert found in (before, after)
        return
    source = operation.source if isinstance(operation, Add) else FOLDER
    for name in before.keys() | after.keys() | found.keys():
        old, new = before.get(name), after.get(name)
        if name[0] == source and name[1] in committed:
            assert found.get(name) == new, f"{name} was acknowledged"
        else:
            assert found.get(name) in {old, new}, f"{name} is neither as it was nor as it was to be"
