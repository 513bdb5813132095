"""In PostgreSQL nothing of what was erased is in any row, nor in any file of a table or an index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import minirag
from minirag.providers.sqlalchemy import postgres_purging
from tests.erasure.scanning import RUN, needles_of_texts, needles_of_vectors
from tests.erasure.world import CANARY, CREDENTIAL, KEY, Seeded, canaries, fill, open_bot, open_workspace
from tests.servers.postgres_server import PostgresServer


@pytest.fixture
def embedder() -> Seeded:
    return Seeded()


@pytest.fixture(params=["faiss", "pgvector"])
def url(request: pytest.FixtureRequest, postgres: PostgresServer) -> str:
    """A new database, once with vectors in the process and once in the database."""
    return postgres.new_database()


@pytest.fixture
def workspace(
    url: str, embedder: Seeded, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[minirag.Workspace]:
    index = request.node.callspec.params["url"]
    key = minirag.generate_secret_key()
    with open_workspace(url, embedder, index=index, cache_dir=tmp_path, secret_key=key) as opened:
        bot = open_bot(opened)
        fill(bot, documents=5)
        bot.search("parcel")
        yield opened


def in_rows(postgres: PostgresServer, url: str, needles: dict[bytes, str]) -> list[str]:
    """Return what is found in any column of text or bytes, whatever the table."""
    found = []
    with connect(postgres, url) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND data_type IN ('text', 'bytea', 'character varying', 'USER-DEFINED')"
        ).fetchall()
        assert len(columns) > 50
        for table, column in columns:
            for (value,) in connection.execute(
                f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'
            ).fetchall():
                data = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                found += [f"{name} in {table}.{column}" for needle, name in needles.items() if needle in data]
    return found


def in_files(postgres: PostgresServer, url: str, needles: dict[bytes, str]) -> list[str]:
    """Return what is found in any file of the database, but for its log, which is out of reach."""
    with connect(postgres, url) as connection:
        connection.execute("CHECKPOINT")
        (number,) = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
        folder = Path(connection.execute("SHOW data_directory").fetchone()[0]) / "base" / str(number)
    found = []
    for path in sorted(folder.iterdir()):
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # the server makes and drops files of its own
            continue
        found += [f"{name} in {path.name}" for needle, name in needles.items() if needle in data]
    return found


def connect(postgres: PostgresServer, url: str):  # type: ignore[no-untyped-def]  # psycopg need not be installed
    import psycopg

    name = url.partition("@/")[2].partition("?")[0]
    return psycopg.connect(host=str(postgres._folder), dbname=name, user="postgres", autocommit=True)


def plain(needles: dict[bytes, str]) -> dict[bytes, str]:
    """Return the needles in the encoding that the server writes, and of a vector's runs those that do not overlap."""
    return {
        needle: name
        for needle, name in needles.items()
        if "utf-16" not in name and not (name.startswith("values") and int(name.split()[1]) % RUN)
    }


def test_a_document(workspace: minirag.Workspace, url: str, postgres: PostgresServer, embedder: Seeded) -> None:
    """Rows, free space of pages, large values kept aside, indexes and statistics: none holds any of it."""
    bot, needles = open_bot(workspace), plain(canaries(embedder))
    with connect(postgres, url) as connection:
        connection.execute("ANALYZE")  # whose samples hold titles and keys
    assert len(in_files(postgres, url, needles)) > 30, "the canary is not where it is looked for"
    receipt = bot.documents.remove(KEY, erase=True)
    assert (receipt.status, receipt.cause, receipt.verified, receipt.leftovers) == ("done", None, True, 0)
    assert receipt.scanned_files > 30
    assert any("write-ahead log" in place for place in receipt.out_of_reach)
    assert in_rows(postgres, url, needles) == []
    assert in_files(postgres, url, needles) == []
    assert len(bot.search("parcel", k=500, mode="dense")) == bot.stats().chunks
    assert bot.documents.count() == 5


def test_a_tenant(workspace: minirag.Workspace, url: str, postgres: PostgresServer, embedder: Seeded) -> None:
    """Nor is there anything of a tenant, its credentials and vectors included, while another tenant keeps its own."""
    rival = open_bot(workspace, tenant="rival")
    rival.add(minirag.DocumentInput(text="Nothing of interest here.", key="x"), progress=False)
    with connect(postgres, url) as connection:
        sealed = [
            row[0]
            for row in connection.execute(
                "SELECT ciphertext FROM secrets WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'acme')"
            )
        ]
    vectors = [vector for text, vector in embedder.made.items() if text != "Nothing of interest here."][::6]
    needles = plain(canaries(embedder) | needles_of_texts([CREDENTIAL, *sealed])) | needles_of_vectors(vectors)
    receipt = workspace.tenants.delete("acme", erase=True)
    assert (receipt.status, receipt.verified) == ("done", True)
    assert in_rows(postgres, url, needles) == []
    assert in_files(postgres, url, needles) == []
    assert len(rival.search("interest", mode="dense")) == 1


def test_an_open_transaction(
    workspace: minirag.Workspace, url: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a transaction is open that could still see the rows, the receipt is pending and names it; then it is finished."""
    monkeypatch.setattr(postgres_purging, "_PATIENCE", 0.05)
    bot = open_bot(workspace)
    with connect(postgres, url) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM documents")
        receipt = bot.documents.remove(KEY, erase=True)
        assert receipt.status == "pending"
        assert f"process {connection.info.backend_pid}" in str(receipt.cause)
        connection.execute("ROLLBACK")
    (resumed,) = workspace.erasures.resume()
    assert (resumed.status, resumed.verified) == ("done", True)
    assert in_files(postgres, url, needles_of_texts([CANARY])) == []


def test_a_user_who_may_not_read_files(postgres: PostgresServer, tmp_path: Path) -> None:
    """Who may not read the server's files gets the tables written anew, and a receipt that says what was not looked through."""
    schema = postgres.new_schema()
    user = f"eraser_{schema}"
    postgres.execute(f"CREATE ROLE {user} LOGIN CREATEROLE; GRANT ALL ON SCHEMA {schema} TO {user} WITH GRANT OPTION")
    key = minirag.generate_secret_key()
    with open_workspace(postgres.url(schema, user), index="faiss", cache_dir=tmp_path, secret_key=key) as opened:
        bot = open_bot(opened)
        fill(bot, documents=3)
        receipt = bot.documents.remove(KEY, erase=True)
        assert receipt.status == "done"
        assert not receipt.verified, "it is said to have looked where it may not"
        assert any("may not read" in place for place in receipt.out_of_reach)
        assert any("statistics" in place for place in receipt.out_of_reach)
    data = Path(str(postgres.execute("SHOW data_directory")[0][0])) / "base"
    postgres.execute("CHECKPOINT")
    tables = postgres.execute(
        f"SELECT pg_relation_filenode(c.oid) FROM pg_class c WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'i')"
    )
    assert len(tables) > 30
    for (number,) in tables:
        for path in data.glob(f"*/{number}"):
            assert CANARY.encode() not in path.read_bytes()
