"""A workspace, and faults that are put into its files past the library."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

import minirag
from minirag.types import MetadataValue

__all__ = ["DATABASE", "SEEDS", "Seed", "Seeder", "make_workspace", "metadata_of", "raw", "vector"]

DATABASE: Final = "minirag.sqlite3"
LONG: Final = "Laptops may be returned within thirty days. " * 100
Seeder = Callable[[sqlite3.Connection], object]


def metadata_of(number: int) -> dict[str, MetadataValue]:
    """Return the metadata of a document, of which `year` and `tags` are filterable."""
    return {"year": 2020 + number, "tags": ["a", "b"], "other": "x" * 200}


def make_workspace(folder: Path) -> None:
    """Make two tenants of the same names, with an updated, a removed and some long documents, and credentials."""
    with minirag.Workspace.open(folder, embedder="hashing") as workspace:
        for slug in ("acme", "rival"):
            session = workspace.tenant(slug, create=True)
            for name in ("support", "sales"):
                bot = session.bot(
                    name, create=True, credentials={"api_key": f"secret of {slug}"}, filterable=["year", "tags"]
                )
                bot.add(
                    minirag.DocumentInput(
                        text=f"{LONG} {slug} {number}",
                        key=f"note-{number}",
                        metadata=metadata_of(number),
                    )
                    for number in range(3)
                )
                bot.add(minirag.DocumentInput(text="A phone may be returned within ten days.", key="note-0"))
                bot.add(minirag.DocumentInput(text="Gone soon.", key="gone"))
                bot.documents.remove("gone")
                bot.chat().send("How long may I return a phone?")


@contextmanager
def raw(folder: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection past the library, without foreign keys; `:bot` and its like are functions in it."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        tenant, bot = connection.execute(
            "SELECT tenant_id, bots.id FROM bots JOIN tenants ON tenants.id = tenant_id"
            " WHERE slug = 'acme' AND bots.name = 'support'"
        ).fetchone()
        document = connection.execute(
            "SELECT id, version_id FROM documents WHERE bot_id = ? AND key = 'note-1'", (bot,)
        ).fetchone()
        chunk = connection.execute("SELECT min(key) FROM chunks WHERE document_id = ?", document[:1]).fetchone()[0]
        for name, value in (("tenant", tenant), ("bot", bot), ("document", document[0]), ("version", document[1]), ("chunk", chunk)):  # fmt: skip
            connection.create_function(name, 0, lambda value=value: value)
        yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def sql(*statements: str) -> Seeder:
    """Return what runs statements."""

    def seed(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    return seed


def vector(change: Callable[[np.ndarray], np.ndarray]) -> Seeder:
    """Return what changes a stored vector."""

    def seed(connection: sqlite3.Connection) -> None:
        (blob,) = connection.execute("SELECT vector FROM embeddings WHERE chunk_key = chunk()").fetchone()
        changed = change(np.frombuffer(blob, "<f4").copy()).astype("<f4").tobytes()
        connection.execute("UPDATE embeddings SET vector = ? WHERE chunk_key = chunk()", (changed,))

    return seed


def _with_nan(values: np.ndarray) -> np.ndarray:
    values[3] = np.nan
    return values


def damaged_page(connection: sqlite3.Connection) -> None:
    """Overwrite a page of an index that nothing here reads."""
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'ix_usage_events_tenant_id_bot_id'"
    ).fetchone()
    (file,) = (row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with Path(file).open("rb+") as database:
        database.seek((page - 1) * 16_384)
        database.write(b"\xff" * 16_384)


def index_without_a_row(connection: sqlite3.Connection) -> None:
    """Hide an index from SQLite while a chat is added, and show it again."""
    (file,) = (row[2] for row in connection.execute("PRAGMA database_list") if row[1] == "main")
    name = "ix_chats_tenant_id_bot_id"
    chat = connection.execute(
        "SELECT tenant_id, bot_id, title, created_at, updated_at FROM chats WHERE bot_id = bot()"
    ).fetchone()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        row = other.execute("SELECT * FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        other.execute("PRAGMA writable_schema = ON")
        other.execute("DELETE FROM sqlite_master WHERE name = ?", (name,))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute(
            "INSERT INTO chats (id, tenant_id, bot_id, title, created_at, updated_at) VALUES ('~', ?, ?, ?, ?, ?)", chat
        )
        other.execute("PRAGMA writable_schema = ON")
        other.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)


def smaller_pages(connection: sqlite3.Connection) -> None:
    """Write the file anew with pages of 4 KiB."""
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA page_size = 4096")
    connection.execute("VACUUM")
    connection.execute("PRAGMA journal_mode = WAL")


_LAST_ROW = "sequence = (SELECT sequence FROM bot_logs WHERE bot_id = bot())"
_OF_BOT = "tenant_id = tenant() AND bot_id = bot()"


class Seed:
    """A fault that is put in, what is to be found then, and what is left after a repair.

    Args:
        faults: the kinds that are found, in the bot `acme/support` unless `place` says otherwise.
        left: the kinds that a repair leaves.
    """

    def __init__(self, seeder: Seeder, *faults: str, left: tuple[str, ...] = (), place: str = "acme/support") -> None:
        self.seeder = seeder
        self.faults = list(faults)
        self.left = list(left)
        self.place = place


SEEDS: Final = {
    "a damaged page": Seed(damaged_page, "pages", left=("pages",), place="workspace"),
    "an index that lacks a row": Seed(index_without_a_row, "pages", place="workspace"),
    "a document without its source": Seed(
        sql("UPDATE documents SET source_id = 'nowhere' WHERE id = document()"),
        "foreign_key", left=("foreign_key",), place="acme",
    ),
    "a message without its chat": Seed(
        sql("UPDATE messages SET chat_id = 'nowhere' WHERE number = 1 AND chat_id IN (SELECT id FROM chats WHERE bot_id = bot())"),
        "foreign_key", left=("foreign_key",), place="acme",
    ),
    "vectors of no bot": Seed(
        sql(
            "INSERT INTO embeddings (tenant_id, bot_id, chunk_key, space, content_hash, vector)"
            " SELECT tenant_id, 'nobody', chunk_key, space, content_hash, vector FROM embeddings WHERE chunk_key = chunk()"
        ),
        "foreign_key", left=("foreign_key",), place="acme",
    ),
    "a chunk without its vector": Seed(sql("DELETE FROM embeddings WHERE chunk_key = chunk()"), "vector_missing"),
    "a vector cut short": Seed(vector(lambda values: values[:-1]), "vector_invalid"),
    "a vector that is not finite": Seed(vector(_with_nan), "vector_invalid"),
    "a vector of another length": Seed(vector(lambda values: values * 1.01), "vector_invalid"),
    "a vector without its chunk": Seed(
        sql(
            "INSERT INTO embeddings (tenant_id, bot_id, chunk_key, space, content_hash, vector)"
            " SELECT tenant_id, bot_id, 7, space, content_hash, vector FROM embeddings WHERE chunk_key = chunk()"
        ),
        "vector_leftover",
    ),
    "a vector of another space": Seed(
        sql(
            "INSERT INTO embeddings (tenant_id, bot_id, chunk_key, space, content_hash, vector)"
            " SELECT tenant_id, bot_id, chunk_key, 'other', content_hash, vector FROM embeddings WHERE chunk_key = chunk()"
        ),
        "vector_leftover",
    ),
    "a chunk beyond its text": Seed(sql('UPDATE chunks SET "end" = 99999999 WHERE key = chunk()'), "chunk_span"),
    "a chunk of nothing": Seed(sql('UPDATE chunks SET "end" = start WHERE key = chunk()'), "chunk_span"),
    "a chunk that is gone": Seed(
        sql(
            "DELETE FROM chunks WHERE key = chunk()",
            "DELETE FROM embeddings WHERE chunk_key = chunk()",
            "DELETE FROM chunk_fields WHERE chunk_key = chunk()",
        ),
        "chunk_count", "log_replay",
    ),
    "a block that is gone": Seed(
        sql("DELETE FROM text_blocks WHERE version_id = version() AND number = 1"), "text", left=("text",)
    ),
    "another letter in a text": Seed(
        sql("UPDATE text_blocks SET text = 'l' || substr(text, 2) WHERE version_id = version() AND number = 0"),
        "text", left=("text",),
    ),
    "a text that is no UTF-8": Seed(
        sql("UPDATE text_blocks SET text = CAST(x'ff' || substr(text, 2) AS TEXT) WHERE version_id = version() AND number = 0"),
        "text", left=("text",),
    ),
    "a block cut short": Seed(
        sql("UPDATE text_blocks SET text = substr(text, 2) WHERE version_id = version() AND number = 0"),
        "text", left=("text",),
    ),
    "another length of a version": Seed(
        sql("UPDATE document_versions SET characters = characters + 1 WHERE id = version()"), "text", left=("text",)
    ),
    "an old text cut short": Seed(
        sql(
            "DELETE FROM text_blocks WHERE number = 1 AND version_id IN (SELECT id FROM document_versions WHERE bot_id = bot()"
            " AND key = 'note-0')"
        ),
        "text", left=("text",),
    ),
    "a gap in the log": Seed(sql(f"DELETE FROM change_log WHERE {_OF_BOT} AND sequence = 2"), "log"),
    "a log without its first row": Seed(sql(f"DELETE FROM change_log WHERE {_OF_BOT} AND sequence = 1"), "log"),
    "a log that ends too early": Seed(sql(f"DELETE FROM change_log WHERE {_OF_BOT} AND {_LAST_ROW}"), "log"),
    "another nonce at the end of the log": Seed(
        sql(f"UPDATE change_log SET nonce = nonce + 1 WHERE {_OF_BOT} AND {_LAST_ROW}"), "log"
    ),
    "a row of the log without a nonce": Seed(
        sql(f"UPDATE change_log SET nonce = 0 WHERE {_OF_BOT} AND sequence = 2"), "log"
    ),
    "keys in the log cut short": Seed(
        sql(f"UPDATE change_log SET added = substr(added, 2) WHERE {_OF_BOT} AND sequence = 2"), "log"
    ),
    "a log without a head": Seed(sql(f"DELETE FROM bot_logs WHERE {_OF_BOT}"), "log"),
    "a log of other chunks": Seed(
        sql(f"UPDATE change_log SET added = substr(added, 9) WHERE {_OF_BOT} AND sequence = 2"), "log_replay"
    ),
    **{
        f"a wrong count of {name}": Seed(sql(f"UPDATE bot_logs SET {name} = {name} + 1 WHERE {_OF_BOT}"), "counters")
        for name in ("documents", "chunks", "characters", "words", "known_words", "stale")
    },
    "a filterable value that is gone": Seed(sql(f"DELETE FROM chunk_fields WHERE {_OF_BOT} AND value = 2021"), "fields"),
    "a filterable value that nobody has": Seed(
        sql(f"UPDATE chunk_fields SET value = 1999 WHERE {_OF_BOT} AND value = 2021"), "fields"
    ),
    "a last key that is not the last": Seed(sql(f"UPDATE bot_logs SET last_key = 1 WHERE {_OF_BOT}"), "counters"),
    "a document without its version": Seed(
        sql("DELETE FROM document_versions WHERE id = version()", "DELETE FROM text_blocks WHERE version_id = version()"),
        "version_missing", left=("version_missing",),
    ),
    "another bot's credential": Seed(
        sql(
            "UPDATE secrets SET ciphertext = (SELECT ciphertext FROM secrets WHERE tenant_id = tenant() AND bot_id != bot())"
            " WHERE bot_id = bot()"
        ),
        "credential", left=("credential",),
    ),
    "another tenant's credential": Seed(
        sql("UPDATE secrets SET ciphertext = (SELECT ciphertext FROM secrets WHERE tenant_id != tenant()) WHERE bot_id = bot()"),
        "credential", left=("credential",),
    ),
    "a credential that is gone": Seed(
        sql("DELETE FROM secrets WHERE bot_id = bot()"), "credential", left=("credential",)
    ),
    "another fingerprint": Seed(sql("UPDATE bots SET fingerprint = 'other' WHERE id = bot()"), "bot"),
    "another space": Seed(
        sql("UPDATE bots SET space = replace(space, 'hashing', 'other') WHERE id = bot()"), "bot", left=("bot",)
    ),
    "settings that are no JSON": Seed(
        sql("UPDATE bots SET profile = substr(profile, 2) WHERE id = bot()"), "bot", left=("bot",)
    ),
    "settings of another name": Seed(
        sql("""UPDATE bots SET profile = replace(profile, '"name":"support"', '"name":"other"') WHERE id = bot()"""), "bot"
    ),
    "no statistics": Seed(sql("DELETE FROM sqlite_stat1"), "statistics", place="workspace"),
    "changed statistics": Seed(
        sql("UPDATE sqlite_stat1 SET stat = '1 1 1 1' WHERE idx = 'chunks'"), "statistics", place="workspace"
    ),
    "an index that is gone": Seed(
        sql("DROP INDEX ix_chats_tenant_id_bot_id"), "schema", "statistics", place="workspace"
    ),
    "small pages": Seed(smaller_pages, "page_size", left=("page_size",), place="workspace"),
}  # fmt: skip
"""By what is wrong: more than the twelve kinds that are promised."""
