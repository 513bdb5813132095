"""An archive is believed nothing: whatever is wrong with it is an `ArchiveError`, and nothing is imported."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minirag
from minirag.errors import ArchiveError
from minirag.models.usage import UsageEvent
from minirag.types import new_id, utc_now

Members = dict[str, bytes]
DOCUMENTS = "bots/0/documents.jsonl"
VERSIONS = "bots/0/versions.jsonl"
VECTORS = "bots/0/vectors.f32"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small archive with a record of each kind."""
    folder = tmp_path_factory.mktemp("damage")
    with minirag.Workspace.open(folder / "kb", embedder="hashing") as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text=f"Note {n}: a laptop may be returned.", key=f"n{n}") for n in range(5))
        bot.chat().send("May a laptop be returned?")
        context = bot._context
        with workspace._core.storage.write(context.scope) as writer:
            now = utc_now()
            writer.put_usage(
                UsageEvent(
                    id=new_id(),
                    bot_id=context.bot_id,
                    kind="llm",
                    provider="p",
                    model="m",
                    status="done",
                    started_at=now,
                )
            )
        workspace.tenants.export("acme", folder / "a", progress=False)
    return (folder / "a").read_bytes()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[minirag.Workspace]:
    """An empty workspace."""
    with minirag.Workspace.open(tmp_path_factory.mktemp("target") / "kb", embedder="hashing") as workspace:
        yield workspace


def refuse(target: minirag.Workspace, path: Path) -> str:
    """Fail unless the archive is refused and nothing of it is left; return the message."""
    with pytest.raises(ArchiveError) as caught:
        target.tenants.import_(path, progress=False)
    with target._core.storage.directory() as directory:
        assert directory.tenants() == []
    assert "laptop may" not in str(caught.value)
    return str(caught.value)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, derandomize=True)  # fmt: skip
@given(data=st.data())
def test_any_damage_is_noticed(data: st.DataObject, archive: bytes, target: minirag.Workspace, tmp_path: Path) -> None:
    """Cut off, overwritten or with flipped bits: it is refused, or what was hit is no part of what it says."""
    kind = data.draw(st.sampled_from(("cut", "flip", "overwrite", "doubled")))
    place = data.draw(st.integers(0, len(archive) - 1))
    broken = bytearray(archive)
    if kind == "cut":
        del broken[place:]
    elif kind == "flip":
        broken[place] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "overwrite":
        broken[place : place + 16] = data.draw(st.binary(min_size=16, max_size=16))
    else:
        broken[place:place] = broken[place : place + 64]
    path = tmp_path / "broken"
    path.write_bytes(broken)
    try:
        target.tenants.import_(path, progress=False)
    except ArchiveError:
        pass
    else:
        # A ZIP has bytes that mean nothing here: a time, a version, a comment; or the text of the manifest was hit.
        (tenant,) = target.tenants.list()
        assert target.verify(progress=False).faults == ()
        assert target.tenant(tenant.slug).bot(target.tenant(tenant.slug).bots.list()[0].name).documents.count() == 5
        target.tenants.delete(tenant.slug)
    with target._core.storage.directory() as directory:
        assert directory.tenants() == []


def rebuilt(archive: bytes, path: Path, change: Callable[[Members, dict[str, Any]], None]) -> Path:
    """Write an archive whose checksums are right, whatever was changed."""
    source = path.with_name("source")
    source.write_bytes(archive)
    with zipfile.ZipFile(source) as old:
        members = {name: old.read(name) for name in old.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    if "members" in manifest and not manifest.pop("keep", False):
        manifest["members"] = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members.items():
            new.writestr(name, data)
        new.writestr("manifest.json", json.dumps(manifest))
    return path


def in_line(name: str, **fields: Any) -> Callable[[Members, dict[str, Any]], None]:
    """Return what changes fields of the first line of a member."""

    def change(members: Members, _: dict[str, Any]) -> None:
        first, _, rest = members[name].partition(b"\n")
        value = json.loads(first)
        value.get("chat", value).update(fields)
        members[name] = json.dumps(value).encode() + b"\n" + rest

    return change


def first_twice(name: str) -> Callable[[Members, dict[str, Any]], None]:
    def change(members: Members, manifest: dict[str, Any]) -> None:
        lines = members[name].splitlines(keepends=True)
        number = 2 if name == VERSIONS else 1
        members[name] = b"".join([*lines[:number], *lines])
        kind = name.rpartition("/")[2].removesuffix(".jsonl")
        manifest["bots"][0]["counts"][kind] += 1

    return change


def in_manifest(*path: Any, value: Any) -> Callable[[Members, dict[str, Any]], None]:
    def change(_: Members, manifest: dict[str, Any]) -> None:
        place: Any = manifest
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value

    return change


def with_member(name: str) -> Callable[[Members, dict[str, Any]], None]:
    return lambda members, _: members.update({name: b"x"})


def bomb(members: Members, _: dict[str, Any]) -> None:
    members[DOCUMENTS] = b" " * (70 << 20)


CRAFTED: dict[str, Callable[[Members, dict[str, Any]], None]] = {
    "a member whose name leads out": with_member("../../escape.jsonl"),
    "an absolute name": with_member("/tmp/escape"),
    "a member too few": lambda members, _: members.__delitem__(VECTORS),
    "members that the manifest does not name": lambda members, manifest: (
        manifest.update(keep=True),
        members.update({"bots/0/more.jsonl": b""}),
    )[0],
    "vectors of another checksum": lambda members, manifest: (
        manifest.update(keep=True),
        members.update({VECTORS: bytes(len(members[VECTORS]))}),
    )[0],
    "a bomb": bomb,
    "wrong counts": in_manifest("bots", 0, "counts", "documents", value=4),
    "counts of other kinds": in_manifest("bots", 0, "counts", value={}),
    "a negative count": in_manifest("bots", 0, "counts", "chunks", value=-1),
    "another fingerprint": in_manifest("bots", 0, "fingerprint", value="0" * 16),
    "another dimension": in_manifest("bots", 0, "record", "space", "dimension", value=7),
    "a bot's id that is a path": in_manifest("bots", 0, "record", "id", value="../../up"),
    "a slug that is none": in_manifest("tenant", "slug", value="../up"),
    "a name that is no text": in_manifest("tenant", "name", value=5),
    "no bots": in_manifest("bots", value=5),
    "an unknown field": in_manifest("more", value=1),
    "an unknown version": in_manifest("version", value=2),
    "a version that is a text": in_manifest("version", value="1"),
    "a source's id that is a path": in_line("bots/0/sources.jsonl", id="../../up"),
    "a source of another kind": in_line("bots/0/sources.jsonl", kind="pipe"),
    "metadata that are none": in_line(DOCUMENTS, metadata={"a": {"$date": "never"}}),
    "metadata that nest": in_line(DOCUMENTS, metadata={"a": {"b": {"c": 1}}}),
    "a document of no source": in_line(DOCUMENTS, source_id="0" * 16),
    "a document of no version": in_line(DOCUMENTS, version_id="0" * 16),
    "a chunk outside of its text": in_line(DOCUMENTS, chunks=[[0, 10_000, "00" * 16, None, {}]]),
    "a chunk too many": in_line(DOCUMENTS, chunks=[[0, 1, "00" * 16, None, {}]] * 2),
    "a chunk that begins before its text": in_line(DOCUMENTS, chunks=[[-1, 1, "00" * 16, None, {}]]),
    "a number of more than 64 bits": in_line(DOCUMENTS, words=10**30),
    "a number that is none": in_line(DOCUMENTS, known_words=float("nan")),
    "a hash that is none": in_line(DOCUMENTS, text_hash="xyz"),
    "a lone surrogate": in_line(DOCUMENTS, title="a\ud800"),
    "a NUL": in_line(DOCUMENTS, title="a\x00"),
    "a text that is too short": in_line(VERSIONS, characters=9_999),
    "an endless text": in_line(VERSIONS, characters=2**62),
    "a time that is none": in_line(VERSIONS, created_at="yesterday"),
    "a chat without an id": in_line("bots/0/chats.jsonl", id=None),
    "a call of another kind": in_line("bots/0/usage.jsonl", kind="bogus"),
    "the same document twice": first_twice(DOCUMENTS),
    "the same version twice": first_twice(VERSIONS),
    "vectors that are not finite": lambda members, _: members.update({VECTORS: b"\xff" * len(members[VECTORS])}),
    "a vector too few": lambda members, _: members.update({VECTORS: members[VECTORS][:-4]}),
    "a vector too many": lambda members, _: members.update({VECTORS: members[VECTORS] * 2}),
    "a line that is no JSON": lambda members, _: members.update({DOCUMENTS: b"{\n"}),
    "a line that is no object": lambda members, _: members.update({DOCUMENTS: b"[1]\n"}),
    "a line that nests deeply": lambda members, _: members.update({DOCUMENTS: b"[" * 100_000 + b"\n"}),
    "a line without an end": lambda members, _: members.update({DOCUMENTS: members[DOCUMENTS][:-1]}),
    "bytes that are no text": lambda members, _: members.update({DOCUMENTS: b'"\xff"\n'}),
}


@pytest.mark.parametrize("what", CRAFTED)
def test_a_crafted_archive_is_refused(what: str, archive: bytes, target: minirag.Workspace, tmp_path: Path) -> None:
    """Its checksums are right, and what it holds is not."""
    refuse(target, rebuilt(archive, tmp_path / "crafted", CRAFTED[what]))
    assert not (tmp_path.parents[1] / "escape.jsonl").exists()


def test_an_archive_that_is_only_rebuilt_is_taken(archive: bytes, target: minirag.Workspace, tmp_path: Path) -> None:
    """What the crafted ones are made of is right."""
    assert target.tenants.import_(rebuilt(archive, tmp_path / "a", lambda *_: None), progress=False).counts["bots"] == 1
    target.tenants.delete("acme")
