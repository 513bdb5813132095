"""Every public method, given what it cannot take: an error of ours that says what to do, and nothing is changed."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import GeneratorType
from typing import Any

import pytest

import minirag
from minirag.errors import MiniRAGError, WorkspaceClosedError
from minirag.models.checks import clipped
from minirag.session import Bots, UsageLedger
from tests.public import bad_values as bad

CLASSES = {
    "Workspace": minirag.Workspace,
    "Tenants": __import__("minirag.tenants", fromlist=["Tenants"]).Tenants,
    "TenantSession": minirag.TenantSession,
    "Bots": Bots,
    "UsageLedger": UsageLedger,
    "Bot": minirag.Bot,
    "Sources": __import__("minirag.sources", fromlist=["Sources"]).Sources,
    "Documents": __import__("minirag.documents", fromlist=["Documents"]).Documents,
    "Chat": minirag.Chat,
    "Chats": __import__("minirag.chat", fromlist=["Chats"]).Chats,
    "Citation": minirag.Citation,
}
PLAIN = {
    "Workspace.location",
    "Workspace.providers",
    "Bot.id",
    "Bot.name",
    "Bot.profile",
    "Chat.id",
}
"""Properties that read nothing and take nothing: they work on a closed workspace too."""
LONGEST_MESSAGE = 900


@dataclass
class World:
    """One object of each class, over a small workspace."""

    folder: Path
    objects: dict[str, Any]
    chat_id: str
    citation: minirag.Citation

    def state(self) -> str:
        """Return everything the database holds."""
        with closing(sqlite3.connect(f"file:{self.folder / 'minirag.sqlite3'}?mode=ro", uri=True)) as connection:
            return "\n".join(connection.iterdump())


@dataclass(frozen=True)
class Row:
    """How a method is called well, and what is bad for each parameter.

    `*name` stands for one positional argument among many, `**name` for keywords.
    """

    good: Mapping[str, Any] = field(default_factory=dict)
    bad: Mapping[str, list[Any]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What a message may call a parameter, beside its name."""


SEARCH = {
    "query": bad.TEXT,
    "k": [*bad.COUNT, 0, 10_001, 10**9],
    "where": bad.WHERE,
    "mode": bad.MODE,
    "exact": bad.FLAG,
}
FILTER = ("filter", "field", "operator")
ASK = {"question": [*bad.TEXT, "x" * 20_001], "k": [*bad.COUNT, 0, 201, 10**9], "where": bad.WHERE}
PROFILE: list[Any] = [
    {"bogus": 1},
    {"system_prompt": 5},
    {"system_prompt": b"bytes"},
    {"system_prompt": None},
    {"system_prompt": bad.HUGE},
    {"system_prompt": "a\ud800"},
    {"system_prompt": "a\x00"},
    {"language": "english"},
    {"language": 5},
    {"language": b"en"},
    {"language": "xx\n"},
    {"embed_context": "bogus"},
    {"keep_versions": -1},
    {"keep_versions": True},
    {"keep_versions": 1.5},
    {"keep_versions": float("nan")},
    {"keep_versions": 10**5_000},
    {"keep_versions": 2**63},
    {"fusion": "bogus"},
    {"fusion": None},
    {"filterable": "lang"},
    {"filterable": 5},
    {"filterable": [5]},
    {"filterable": [b"lang"]},
    {"filterable": ["\ud800"]},
    {"filterable": [""]},
    {"filterable": ["$key"]},
    {"context_tokens": 0},
    {"context_tokens": True},
    {"context_tokens": "3000"},
    {"context_tokens": 10**9},
    {"credential_fields": ("api_key",)},
    {"name\ud800": 1},
    *({kind: value} for kind in ("llm", "embedder", "chunker", "reranker") for value in bad.PROVIDER),
    *({"credentials": value} for value in bad.CREDENTIALS),
]
OPEN_SETTINGS: dict[str, list[Any]] = {
    "storage": [*bad.PROVIDER, minirag.Workspace],
    "index": [*bad.PROVIDER, minirag.Workspace],
    "embedder": bad.NAMED_PROVIDER,
    "llm": bad.NAMED_PROVIDER,
    "reranker": bad.NAMED_PROVIDER,
    "secret_key": [5, 1.5, True, "", "short", b"short", ["x"], "é" * 44, "a\ud800" * 22, object(), bad.HUGE],
    "cache_dir": [5, b"bytes", True, ["x"], "", "a\x00", "a\ud800", object()],
    "memory_budget": [value for value in bad.COUNT if value not in (None, 2**31)] + [0, 2**63],
    "durability": bad.MODE,
    "url_policy": [
        5,
        "x",
        b"x",
        ["x"],
        True,
        {"bogus": 1},
        {5: 1},
        {"allow": 5},
        {"allow": ["http://"]},
        {"timeout": float("nan")},
    ],
    "plugins": [5, "name", b"name", True, [5], [b"x"], {"a": 1}.keys],
    "read_only": bad.FLAG,
}
ROWS: dict[str, Row] = {
    "Workspace.open": Row(
        {"location": "kb"},
        {"location": bad.WORKSPACE, **OPEN_SETTINGS},
        {
            "location": ("database", "names no file"),
            "secret_key": ("secret key",),
            "plugins": ("plugin",),
            "url_policy": ("UrlPolicy",),
            "index": ("vector_index", "vector index"),
            "llm": ("LLM",),
        },
    ),
    "Workspace.__init__": Row(
        {"storage": None, "index": None, "embedder": "hashing"},
        {
            "storage": bad.PROVIDER[:8],
            "index": bad.PROVIDER[:8],
            "embedder": bad.PROVIDER[:5],
            "llm": bad.PROVIDER[:5],
            "reranker": bad.PROVIDER[:5],
            "chunker": bad.PROVIDER[:5],
            "secret_key": [5, "", "short", object()],
            "memory_budget": [0, -1, True, "5", 2.5],
            "url_policy": [5, "x", {"bogus": 1}],
            "plugins": [5, "name", [5]],
            "registry": [5, "x", object()],
            "location": [5, b"x", ["x"]],
        },
        {"url_policy": ("UrlPolicy",), "plugins": ("plugin",), "secret_key": ("secret key",)},
    ),
    "Workspace.from_config": Row(
        {"settings": {"location": "kb"}},
        {
            "settings": [
                5,
                None,
                b"x",
                True,
                ["x"],
                object(),
                bad.Unprintable(),
                "",
                "no/such.toml",
                "a\x00",
                "a\ud800",
                "x" * 3_000,
                {},
                {"location": 5},
                {"location": b"kb"},
                {"location": ""},
                {"location": "kb", "bogus": 1},
                {"location": "kb", 5: 1},
                {"location": "kb", "self": 1},
                {"location": "kb", "memory_budget": True},
                {"location": "kb", "memory_budget": float("nan")},
                {"location": "kb", "memory_budget": -1},
                {"location": "kb", "read_only": "perhaps"},
                {"location": "kb", "durability": "bogus"},
                {"location": "kb", "url_policy": {"bogus": 1}},
                {"location": "kb", "url_policy": 5},
                {"location": "kb", "plugins": "name"},
                {"location": "kb", "embedder": 5},
                {"location": "kb", "embedder": {"provider": 5}},
                {"location": "a\x00"},
                {"location": "kb", "cache_dir": 5},
            ]
        },
        {"settings": ("configuration", "WorkspaceConfig", "location", "embedder")},
    ),
    "Workspace.from_env": Row(),
    "Workspace.tenant": Row({"slug": "acme"}, {"slug": bad.SLUG, "create": bad.FLAG}, {"slug": ("tenant",)}),
    "Workspace.close": Row(),
    "Tenants.create": Row(
        {"slug": "newcomer"},
        {"slug": [*bad.without(bad.SLUG, "unknown"), "acme"], "name": bad.without(bad.TEXT, None)},
    ),
    "Tenants.get": Row({"slug": "acme"}, {"slug": bad.SLUG}, {"slug": ("tenant",)}),
    "Tenants.list": Row(),
    "Tenants.update": Row(
        {"slug": "acme"},
        {"slug": bad.SLUG, "name": bad.TEXT, "new_slug": [*bad.without(bad.SLUG, "unknown"), "other"]},
        {"slug": ("tenant",), "new_slug": ("slug",)},
    ),
    "Tenants.delete": Row({"slug": "acme"}, {"slug": bad.SLUG}, {"slug": ("tenant",)}),
    "TenantSession.bot": Row(
        {"name": "support"},
        {"name": bad.IDENTIFIER, "create": bad.FLAG, "**profile": [{"system_prompt": "x"}, {"bogus": 1}]},
        {"name": ("bot",), "**profile": ("create=True",)},
    ),
    "TenantSession.search": Row({"query": "laptop"}, SEARCH, {"where": FILTER}),
    "Bots.create": Row(
        {"name": "newcomer"},
        {"name": [*bad.TEXT, " padded ", "line\nbreak", "x" * 201, "\u202e"], "**profile": PROFILE},
        {"name": ("bot",)},
    ),
    "Bots.get": Row({"name": "support"}, {"name": bad.IDENTIFIER}, {"name": ("bot",)}),
    "Bots.list": Row(),
    "Bots.update": Row({"name": "support"}, {"name": bad.IDENTIFIER, "**profile": [*PROFILE, {}]}, {"name": ("bot",)}),
    "Bots.delete": Row({"name": "support"}, {"name": bad.IDENTIFIER}, {"name": ("bot",)}),
    "UsageLedger.total": Row({}, {"bot": bad.without(bad.TEXT, None)}),
    "UsageLedger.events": Row({}, {"bot": bad.without(bad.TEXT, None)}),
    "Bot.update": Row(
        {}, {"**profile": [*PROFILE, {}, {"name": ""}, {"name": "other-bot"}, {"name": 5}, {"embedder": "minilm"}]}
    ),
    "Bot.add": Row(
        {"*inputs": minirag.DocumentInput(text="More.")},
        {
            "*inputs": [
                *bad.DOCUMENT,
                minirag.DocumentInput(text=" "),
                minirag.DocumentInput(text="\ud800"),
                minirag.DocumentInput(text="a\x00"),
            ],
            "source": [*bad.without(bad.TEXT, None), "SOURCE-OF-ANOTHER-KIND"],
            "progress": bad.CALLBACK,
        },
        {"*inputs": ("add()", "path", "URL", "url", "text", "iterable")},
    ),
    "Bot.ingest": Row({}, {"progress": bad.CALLBACK}),
    "Bot.search": Row({"query": "laptop"}, SEARCH, {"where": FILTER}),
    "Bot.search_many": Row(
        {"queries": ["laptop"]},
        {
            **{name: values for name, values in SEARCH.items() if name != "query"},
            "queries": [
                5,
                None,
                "laptop",
                b"laptop",
                {"a": 1},
                object(),
                bad.Unprintable(),
                iter("a"),
                *([value] for value in bad.TEXT),
            ],
        },
        {"where": FILTER, "queries": ("query",)},
    ),
    "Bot.ask": Row({"question": "laptop?"}, ASK, {"where": FILTER}),
    "Bot.stream": Row({"question": "laptop?"}, ASK, {"where": FILTER}),
    "Bot.chat": Row({}, {"chat_id": bad.without(bad.IDENTIFIER, None)}, {"chat_id": ("chat",)}),
    "Bot.open": Row(
        {"citation": "CITATION"},
        {"citation": [*bad.CITATION, "FOREIGN"], "before": bad.COUNT, "after": bad.COUNT},
        {"citation": ("Citation", "version")},
    ),
    "Bot.stats": Row(),
    "Bot.evaluate": Row(
        {"queries": {"q": "laptop"}, "qrels": {"q": {"note-1": 1}}},
        {
            "queries": [
                5,
                None,
                "x",
                b"x",
                ["x"],
                {},
                {"q": 5},
                {"q": ""},
                {"q": b"x"},
                {"q": "a\ud800"},
                {"q": bad.HUGE},
                {5: "x"},
                {"other": "x"},
                bad.Unprintable(),
            ],
            "qrels": [
                5,
                None,
                "x",
                ["x"],
                {},
                {"q": 5},
                {"q": {"note-1": "1"}},
                {"q": {"note-1": True}},
                {"q": {"note-1": 1.5}},
                {"q": {"note-1": float("nan")}},
                {"q": {"note-1": 10**5_000}},
                {"q": {"note-1": 0}},
                {"q": {5: 1}},
                bad.Unprintable(),
            ],
        },
        {"queries": ("query",), "qrels": ("query",)},
    ),
    "Bot.delete": Row(),
    "Sources.add": Row(
        {"name": "manual", "text": "Some text."},
        {
            "location": bad.without(bad.DOCUMENT, None),
            "text": bad.without([*bad.NOT_STR, "", "  ", "a\x00", "a\ud800"], None),
            "name": bad.TEXT,
            "metadata": bad.METADATA,
            "refresh": bad.REFRESH,
        },
        {"location": ("path", "URL", "url"), "name": ("source",)},
    ),
    "Sources.ingest": Row({"source": "inline"}, {"source": bad.SOURCE, "progress": bad.CALLBACK}),
    "Sources.get": Row({"source": "inline"}, {"source": bad.SOURCE}),
    "Sources.list": Row(),
    "Sources.update": Row(
        {"source": "inline"}, {"source": bad.SOURCE, "name": bad.TEXT, "metadata": bad.METADATA, "refresh": bad.REFRESH}
    ),
    "Sources.remove": Row({"source": "inline"}, {"source": bad.SOURCE}),
    "Documents.get": Row(
        {"key": "note-1"}, {"key": bad.IDENTIFIER, "source": bad.without(bad.SOURCE, None)}, {"key": ("document",)}
    ),
    "Documents.list": Row({}, {"source": bad.without(bad.SOURCE, None), "where": bad.WHERE}, {"where": FILTER}),
    "Documents.count": Row({}, {"source": bad.without(bad.SOURCE, None), "where": bad.WHERE}, {"where": FILTER}),
    "Documents.text": Row(
        {"key": "note-1"},
        {
            "key": bad.IDENTIFIER,
            "version_id": bad.without(bad.IDENTIFIER, None),
            "source": bad.without(bad.SOURCE, None),
        },
        {"key": ("document",), "version_id": ("version",)},
    ),
    "Documents.versions": Row(
        {"key": "note-1"}, {"key": bad.IDENTIFIER, "source": bad.without(bad.SOURCE, None)}, {"key": ("document",)}
    ),
    "Documents.remove": Row(
        {"*keys": "note-1"},
        {"*keys": bad.IDENTIFIER, "source": bad.without(bad.SOURCE, None)},
        {"*keys": ("key", "document")},
    ),
    "Chat.messages": Row(),
    "Chat.send": Row({"question": "laptop?"}, {"question": ASK["question"]}),
    "Chat.stream": Row({"question": "laptop?"}, {"question": ASK["question"]}),
    "Chat.delete": Row(),
    "Chats.get": Row({"chat_id": "CHAT"}, {"chat_id": bad.IDENTIFIER}, {"chat_id": ("chat",)}),
    "Chats.list": Row(),
    "Chats.delete": Row({"chat_id": "CHAT"}, {"chat_id": bad.IDENTIFIER}, {"chat_id": ("chat",)}),
    "Citation.verify": Row(),
    "Citation.open": Row({}, {"before": bad.COUNT, "after": bad.COUNT}),
}
CASES = [(name, parameter) for name, row in ROWS.items() for parameter in row.bad]


def public_methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every public method and property that these classes define, and the constructor of the one that has one."""
    for name, kind in CLASSES.items():
        for member in vars(kind):
            if not member.startswith("_") or (name, member) == ("Workspace", "__init__"):
                value = inspect.getattr_static(kind, member)
                function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
                if inspect.isfunction(function) and f"{name}.{member}" not in PLAIN and not member.startswith("model_"):
                    yield f"{name}.{member}", function


def make_world(folder: Path) -> World:
    workspace = minirag.Workspace.open(folder, embedder="hashing")
    session = workspace.tenant("acme", create=True)
    workspace.tenants.create("other")
    bot = session.bot("support", create=True)
    session.bot("other-bot", create=True)
    bot.add(
        minirag.DocumentInput(
            text="A laptop may be returned within thirty days.", key="note-1", metadata={"lang": "en"}
        )
    )
    chat = bot.chat()
    chat.send("How long may I return a laptop?")
    citation = bot.ask("How long may I return a laptop?").citations[0]
    file = folder.parent / "file-source.txt"
    file.write_text("A file.", encoding="utf-8")
    bot.sources.add(file)
    objects = {
        "Workspace": workspace,
        "Tenants": workspace.tenants,
        "TenantSession": session,
        "Bots": session.bots,
        "UsageLedger": session.usage,
        "Bot": bot,
        "Sources": bot.sources,
        "Documents": bot.documents,
        "Chat": chat,
        "Chats": bot.chats,
        "Citation": citation,
    }
    return World(folder, objects, chat.id, citation)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A workspace that no test here may change."""
    made = make_world(tmp_path_factory.mktemp("bad-input") / "kb")
    with made.objects["Workspace"]:
        yield made


def call(world: World, name: str, arguments: Mapping[str, Any]) -> Any:
    """Call a method, or read a property, and consume what it yields."""
    kind, _, member = name.partition(".")
    positional = [value for key, value in arguments.items() if key.startswith("*") and not key.startswith("**")]
    keywords = {key: value for key, value in arguments.items() if not key.startswith("*")}
    for key, value in arguments.items():
        if key.startswith("**"):
            keywords.update(value)
    substitutes = (
        {
            "CHAT": world.chat_id,
            "CITATION": world.citation,
            "FOREIGN": world.citation.model_copy(update={"version_id": "another-tenants"}),
            "SOURCE-OF-ANOTHER-KIND": next(s for s in world.objects["Bot"].sources.list() if s.kind == "file")
            if keywords.get("source") == "SOURCE-OF-ANOTHER-KIND"
            else None,
        }
        if any(isinstance(value, str) for value in keywords.values())
        else {}
    )
    keywords = {
        key: substitutes.get(value, value) if isinstance(value, str) else value for key, value in keywords.items()
    }
    if name == "Workspace.__init__":
        core = world.objects["Workspace"]._core
        given = {
            "storage": core.storage,
            "index": core.partitions._vectors,
            **{k: v for k, v in keywords.items() if v is not None},
        }
        return minirag.Workspace(**given)
    if name in ("Workspace.open", "Workspace.from_config", "Workspace.from_env"):
        return getattr(minirag.Workspace, member)(**keywords)
    found = getattr(world.objects[kind], member)
    result = found(*positional, **keywords) if callable(found) else found
    return list(result) if isinstance(result, GeneratorType) else result


def test_every_public_method_and_parameter_has_a_row() -> None:
    """A new public method, or a new parameter, fails here until somebody has thought of what is bad for it."""
    found = dict(public_methods())
    assert set(found) == set(ROWS)
    marks = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    for name, function in found.items():
        parameters = [
            marks.get(parameter.kind, "") + parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in ("self", "cls")
        ]
        assert sorted(ROWS[name].bad) == sorted(parameters), name


def complaint(world: World, name: str, parameter: str, value: Any) -> str | None:
    """Return what is wrong with how a bad value is refused, or None."""
    row = ROWS[name]
    arguments = (
        {"location": value} if (name, parameter) == ("Sources.add", "location") else {**row.good, parameter: value}
    )
    try:
        result = call(world, name, arguments)
    except MiniRAGError as problem:
        message = str(problem)
    except Exception as problem:
        return f"{type(problem).__name__} escaped: {str(problem)[:200]}"
    else:
        if isinstance(result, minirag.Workspace):
            result.close()
        return f"accepted: {str(result)[:100]}"
    words = [parameter.lstrip("*"), *row.words.get(parameter, ())]
    if parameter == "source":
        words.append("URL")
    if parameter.startswith("**") and isinstance(value, dict):
        words += [repr(next(iter(value), "given nothing"))[1:-1], "provider", "LLM", "credential"]
    if not 15 <= len(message) <= LONGEST_MESSAGE:
        return f"a message of {len(message)} characters: {message[:200]}"
    if not any(word in message for word in words):
        return f"does not name {parameter}: {message}"
    return (
        None
        if message.isascii() or message.encode("utf-8", "replace").decode() == message
        else f"lone surrogate: {message!r}"
    )


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_bad_input_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, parameter: str
) -> None:
    """What a parameter cannot take raises our error, which names the argument, and leaves the database as it was."""
    monkeypatch.chdir(tmp_path)
    before = world.state()
    complaints = {}
    for number, value in enumerate(ROWS[name].bad[parameter]):
        if (found := complaint(world, name, parameter, value)) is not None:
            complaints[f"value {number}, {clipped(value)}"] = found
    assert not complaints, "\n" + "\n".join(f"{shown}: {found}" for shown, found in complaints.items())
    assert world.state() == before
    if not name.startswith("Workspace."):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ROWS
        if name
        not in (
            "Workspace.open",
            "Workspace.__init__",
            "Workspace.from_config",
            "Workspace.from_env",
            "Workspace.close",
        )
    ],
)
def test_use_after_close_is_refused(tmp_path: Path, name: str) -> None:
    """Every method of everything that hangs on a closed workspace raises `WorkspaceClosedError`."""
    world = make_world(tmp_path / "kb")
    world.objects["Workspace"].close()
    arguments = dict(ROWS[name].good)
    if name == "Bot.update":
        arguments = {"**profile": {"system_prompt": "x"}}
    elif name == "Bots.update":
        arguments = {"name": "support", "**profile": {"system_prompt": "x"}}
    with pytest.raises(WorkspaceClosedError, match="open it again"):
        call(world, name, arguments)


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    """`close` may be called again, and entering a closed workspace is an error."""
    workspace = minirag.Workspace.open(tmp_path, embedder="hashing")
    workspace.close()
    workspace.close()
    with pytest.raises(WorkspaceClosedError), workspace:
        pass
    assert "closed" in repr(workspace)


def test_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its variable, and with a wrong one, `from_env` names the variable or the setting."""
    monkeypatch.delenv("MINIRAG_WORKSPACE", raising=False)
    with pytest.raises(minirag.errors.ConfigurationError, match="MINIRAG_WORKSPACE is not set"):
        minirag.Workspace.from_env()
    monkeypatch.setenv("MINIRAG_WORKSPACE", "kb")
    monkeypatch.setenv("MINIRAG_MEMORY_BUDGET", "much")
    with pytest.raises(minirag.errors.ConfigurationError, match="memory_budget"):
        minirag.Workspace.from_env()
