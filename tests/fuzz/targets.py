"""What untrusted bytes can reach: each parser, filters, tokens, archives. Anything but an error of our own is a finding."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import minirag
from minirag.errors import MiniRAGError
from minirag.interfaces import Parser, ParserInput, ProviderContext
from minirag.models.filters import matches, parse_filter
from minirag.providers.builtin.parsers import minirag_parsers
from tests.providers import office_files as made

__all__ = ["TARGETS", "Target"]

FILES = Path(__file__).parents[1] / "data" / "files"


@dataclass(frozen=True)
class Target:
    """Something that takes bytes.

    Attributes:
        seeds: good inputs, which are changed at random.
        run: takes one; an error of ours is an answer, anything else a finding.
    """

    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], object]


def _files(*patterns: str) -> list[bytes]:
    return [path.read_bytes() for pattern in patterns for path in sorted(FILES.glob(pattern))]


_ROW = '<row r="1"><c r="A1" t="str"><v>text</v></c><c r="B1"><v>44197.5</v></c></row>'
_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "text": lambda: _files("*.txt"),
    "markdown": lambda: [*_files("*.md"), b"# A\n\ntext\n\n## B\n```\ncode\n```\n- list\n"],
    "html": lambda: [*_files("*.html"), b"<html><head><title>T</title></head><body><table><tr><td>x</table><pre>y"],
    "pdf": lambda: [*_files("*.pdf"), (FILES.parent / "handbook.pdf").read_bytes()],
    "csv": lambda: [*_files("*.csv"), b'a;b\n1;"x;\n2"\n'],
    "json": lambda: [b'{"a": [1, 2.5, null, {"b": "text"}]}', b'{"text": "a"}\n{"text": "b"}\n'],
    "docx": lambda: [*_files("*.docx"), made.docx(made.paragraph("Words.", style="Heading1"), title="A title")],
    "pptx": lambda: [made.pptx(made.shape("Words."), made.shape("More."), notes="A note")],
    "xlsx": lambda: [made.xlsx(("S", _ROW), ("T", _ROW), hidden="T")],
    "opendocument": lambda: [
        made.open_document("text", "<text:h text:outline-level='1'>Head</text:h><text:p>Words.</text:p>", title="T"),
        made.open_document(
            "spreadsheet", "<table:table><table:table-row><table:table-cell/></table:table-row></table:table>"
        ),
    ],
    "epub": lambda: [made.epub("<h1>One</h1><p>Words.</p>", "<p>Two.</p>")],
    "rtf": lambda: [*_files("*.rtf"), rb"{\rtf1\ansi{\fonttbl{\f0 A;}}\b bold\b0\par \u8364?\'e9{\*\x y}}"],
    "eml": lambda: [
        *_files("*.eml"),
        b"From: a@b.example\nSubject: =?utf-8?q?x?=\nContent-Type: text/html\n\n<p>y</p>",
    ],
    "msg": lambda: [
        made.msg({"__substg1.0_0037001F": "Order", "__substg1.0_1000001F": "Text", "__substg1.0_10090102": b"LZFu"})
    ],
}


@cache
def _parser(name: str) -> Parser:
    from importlib import import_module

    spec = next(spec for spec in minirag_parsers() if spec.name == name)
    module, _, factory = spec.factory.partition(":")
    made_by: Callable[..., Parser] = getattr(import_module(module), factory)
    return made_by(None, ProviderContext())


def _parse(name: str, data: bytes) -> None:
    """Parse, and hold the result to the interface's clauses."""
    parsed = _parser(name).parse(ParserInput(data=data, name="a", max_pages=200))
    assert "\x00" not in parsed.text, "NUL in the text"
    parsed.text.encode()
    for span in parsed.spans:
        assert 0 <= span.start <= span.end <= len(parsed.text), f"a {span.kind} outside of the text"


def _filter(data: bytes) -> None:
    """Read a filter and ask it about a document."""
    try:
        where = json.loads(data)
    except (ValueError, RecursionError):
        return
    condition = parse_filter(where)
    if condition is not None:
        matches(condition, {"lang": "en", "year": 2020, "tags": ["a"], "none": None})


def _token(data: bytes) -> None:
    """Authenticate with whatever came in a header."""
    _place().authenticate(data.decode("utf-8", "surrogateescape"))


@cache
def _place() -> minirag.Workspace:
    """Return a workspace that stays open as long as the process."""
    return minirag.Workspace.open(Path(tempfile.mkdtemp(prefix="fuzz-")) / "kb", embedder="hashing")


def _tokens() -> list[bytes]:
    slug = f"t{minirag.types.new_id()}"
    owner = _place().tenants.bootstrap(slug, "Acme", "owner@acme.example", "correct horse battery")
    return [str(owner.token).encode(), b"", b"mrag_", "mrag_\udcff".encode("utf-8", "surrogateescape")]


def _archives() -> list[bytes]:
    """Return an archive with a record of each kind."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    workspace = _place()
    slug = f"t{minirag.types.new_id()}"
    bot = workspace.tenant(slug, create=True).bot("support", create=True)
    bot.add(minirag.DocumentInput(text=f"Note {n}: a laptop may be returned.", key=f"n{n}") for n in range(3))
    bot.chat().send("May a laptop be returned?")
    workspace.tenants.export(slug, folder / "a", progress=False)
    workspace.tenants.delete(slug)
    return [(folder / "a").read_bytes()]


def _import(data: bytes) -> None:
    """Import an archive; where its checksums alone are wrong, they are put right first, so that what lies behind is met."""
    workspace = _place()
    path = Path(tempfile.mkdtemp(prefix="fuzz-")) / "a"
    path.write_bytes(_with_right_checksums(data))
    before = {tenant.slug for tenant in workspace.tenants.list()}
    try:
        report = workspace.tenants.import_(path, slug=f"i{minirag.types.new_id()}", progress=False)
    except MiniRAGError:
        assert {tenant.slug for tenant in workspace.tenants.list()} == before, "a refused archive left a tenant"
        raise
    finally:
        path.unlink()
        path.parent.rmdir()
    session = workspace.tenant(report.tenant.slug)
    for profile in session.bots.list():
        session.bot(profile.name).search("laptop", mode="keyword")
    workspace.tenants.delete(report.tenant.slug)


def _with_right_checksums(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = {name: old.read(name) for name in old.namelist()}
        manifest: dict[str, Any] = json.loads(members.pop("manifest.json"))
        manifest["members"] = [
            {
                **member,
                "size": len(members[member["name"]]),
                "sha256": hashlib.sha256(members[member["name"]]).hexdigest(),
            }
            for member in manifest["members"]
        ]
    except Exception:
        return data
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
        new.writestr("manifest.json", json.dumps(manifest))
    return target.getvalue()


TARGETS: dict[str, Target] = {
    **{name: Target(seeds, partial(_parse, name)) for name, seeds in _SEEDS.items()},
    "filter": Target(
        lambda: [
            b'{"lang": "en", "year": {"$gte": 2020, "$lt": 2025}}',
            b'{"$and": [{"tags": {"$in": ["a", 1, null]}}, {"$not": {"none": {"$exists": true}}}], "$key": {"$nin": []}}',
        ],
        _filter,
    ),
    "token": Target(_tokens, _token),
    "archive": Target(_archives, _import),
}
"""By name."""
