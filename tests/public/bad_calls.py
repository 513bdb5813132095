"""How each public method is called well, and what is bad for each of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import minirag
from tests.public import bad_values as bad

__all__ = ["ROWS", "Row"]


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
ARCHIVE = [*bad.WORKSPACE, ".", "no/such/archive", "sqlite:///copy"]
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
    "env_credentials": bad.FLAG,
    "prices": bad.PRICES,
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
            "env_credentials": [value for value in bad.FLAG if value is not None],
            "prices": bad.PRICES,
            "registry": [5, "x", object()],
            "cache_dir": [5, b"x", "", ["x"]],
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
    "Workspace.verify": Row({}, {"deep": bad.FLAG, "models": bad.FLAG, "progress": bad.CALLBACK}),
    "Workspace.repair": Row({}, {"progress": bad.CALLBACK}),
    "Workspace.backup": Row(
        {"path": "copy"}, {"path": [*bad.WORKSPACE, ".", "no/such/copy", "sqlite:///copy"], "include_key": bad.FLAG}
    ),
    "Workspace.rotate_master_key": Row(),
    "Workspace.close": Row(),
    # Whatever is wrong with a str is an attempt that failed, which is counted: only what cannot be one changes nothing.
    "Workspace.login": Row(
        {"tenant": "acme", "email": "ann@example.com", "password": "a long password"},
        {
            "tenant": [*bad.NOT_STR, "", "unknown", "Upper", "a\x00b", "a\ud800b", bad.HUGE],
            "email": [*bad.NOT_STR, bad.HUGE],
            "password": bad.NOT_STR,
        },
    ),
    "Workspace.authenticate": Row(
        {"token": "mrag_0"}, {"token": [*bad.TEXT, "mrag_", "x" * 71, f"mrag_{'0' * 16}_{'0' * 49}"]}
    ),
    "Tenants.create": Row(
        {"slug": "newcomer"},
        {"slug": [*bad.without(bad.SLUG, "unknown"), "acme"], "name": bad.without(bad.TEXT, None)},
    ),
    "Tenants.bootstrap": Row(
        {"slug": "newcomer", "name": "New", "owner_email": "ann@example.com", "owner_password": "a long password"},
        {
            "slug": [*bad.without(bad.SLUG, "unknown"), "acme"],
            "name": bad.without(bad.TEXT, None),
            "owner_email": bad.EMAIL,
            "owner_password": bad.PASSWORD,
        },
        {"owner_email": ("email",), "owner_password": ("password",)},
    ),
    "Tenants.get": Row({"slug": "acme"}, {"slug": bad.SLUG}, {"slug": ("tenant",)}),
    "Tenants.list": Row({}, {"counts": bad.FLAG}),
    "Tenants.suspend": Row({"slug": "acme"}, {"slug": bad.SLUG}, {"slug": ("tenant",)}),
    "Tenants.resume": Row({"slug": "acme"}, {"slug": bad.SLUG}, {"slug": ("tenant",)}),
    "Tenants.update": Row(
        {"slug": "acme"},
        {
            "slug": bad.SLUG,
            "name": bad.TEXT,
            "new_slug": [*bad.without(bad.SLUG, "unknown"), "other"],
            "limits": bad.LIMITS,
        },
        {"slug": ("tenant",), "new_slug": ("slug",), "limits": ("Budget", "Limits")},
    ),
    "Tenants.limits": Row({"slug": "acme"}, {"slug": bad.SLUG}, {"slug": ("tenant",)}),
    "Tenants.delete": Row({"slug": "acme"}, {"slug": bad.SLUG, "erase": bad.FLAG}, {"slug": ("tenant",)}),
    "Erasures.list": Row(),
    "Erasures.get": Row({"erasure_id": "unknown"}, {"erasure_id": bad.IDENTIFIER}, {"erasure_id": ("erasure",)}),
    "Erasures.resume": Row(),
    "Tenants.rotate_key": Row({"slug": "acme"}, {"slug": bad.SLUG}, {"slug": ("tenant",)}),
    "Tenants.export": Row(
        {"slug": "acme", "path": "acme.minirag"},
        {"slug": bad.SLUG, "path": ARCHIVE, "passphrase": bad.without(bad.TEXT, None), "progress": bad.CALLBACK},
        {"slug": ("tenant",)},
    ),
    "Tenants.import_": Row(
        {"path": "acme.minirag"},
        {
            "path": [*ARCHIVE, "no-such-archive"],
            "slug": bad.without(bad.without(bad.SLUG, "unknown"), None),
            "passphrase": bad.without(bad.TEXT, None),
            "progress": bad.CALLBACK,
        },
    ),
    "TenantSession.bot": Row(
        {"name": "support"},
        {"name": bad.IDENTIFIER, "create": bad.FLAG, "**profile": [{"system_prompt": "x"}, {"bogus": 1}]},
        {"name": ("bot",), "**profile": ("create=True",)},
    ),
    "TenantSession.search": Row({"query": "laptop"}, SEARCH, {"where": FILTER}),
    "TenantSession.issue_token": Row({}, {"name": bad.NAME, "expires_in": [*bad.EXPIRES_IN, None]}),
    "TenantSession.change_password": Row(
        {"old": "a long password", "new": "another long password"},
        {"old": bad.NOT_STR, "new": bad.PASSWORD},
        {"new": ("password",)},
    ),
    "Users.create": Row(
        {"email": "bob@example.com", "password": "a long password"},
        {"email": [*bad.EMAIL, "ann@example.com"], "password": bad.PASSWORD, "role": bad.MODE},
        {"email": ("e-mail",)},
    ),
    "Users.get": Row({"user": "ann@example.com"}, {"user": [*bad.IDENTIFIER, "nobody@example.com"]}),
    "Users.list": Row(),
    "Users.update": Row(
        {"user": "ann@example.com"},
        {
            "user": bad.IDENTIFIER,
            "role": bad.without(bad.MODE, None),
            "email": bad.without(bad.EMAIL, None),
            "password": bad.without(bad.PASSWORD, None),
        },
    ),
    "Users.export": Row({"user": "ann@example.com", "path": "ann.jsonl"}, {"user": bad.IDENTIFIER, "path": ARCHIVE}),
    "Users.remove": Row({"user": "ann@example.com"}, {"user": bad.IDENTIFIER}),
    "Tokens.create": Row(
        {"user": "ann@example.com"},
        {
            "user": bad.IDENTIFIER,
            "name": bad.NAME,
            "scope": bad.MODE,
            "bot": bad.without(bad.IDENTIFIER, None),
            "expires_in": bad.EXPIRES_IN,
            "expires_at": bad.EXPIRES_AT,
        },
    ),
    "Tokens.list": Row({}, {"user": bad.without(bad.IDENTIFIER, None)}),
    "Tokens.revoke": Row({"token": "0" * 16}, {"token": bad.IDENTIFIER}),
    "Tokens.revoke_all": Row({"user": "ann@example.com"}, {"user": bad.IDENTIFIER}),
    "Bots.create": Row(
        {"name": "newcomer"},
        {"name": [*bad.TEXT, " padded ", "line\nbreak", "x" * 201, "\u202e"], "**profile": PROFILE},
        {"name": ("bot",)},
    ),
    "Bots.get": Row({"name": "support"}, {"name": bad.IDENTIFIER}, {"name": ("bot",)}),
    "Bots.list": Row(),
    "Bots.update": Row({"name": "support"}, {"name": bad.IDENTIFIER, "**profile": [*PROFILE, {}]}, {"name": ("bot",)}),
    "Bots.delete": Row({"name": "support"}, {"name": bad.IDENTIFIER, "erase": bad.FLAG}, {"name": ("bot",)}),
    "UsageLedger.total": Row({}, {"bot": bad.without(bad.TEXT, None)}),
    "UsageLedger.limits": Row(),
    "UsageLedger.events": Row({}, {"bot": bad.without(bad.TEXT, None)}),
    "AuditLog.events": Row({}, dict.fromkeys(("action", "subject", "actor"), bad.without(bad.TEXT, None))),
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
    "Bot.reembed": Row(
        {"embedder": "hashing"},
        {"embedder": [*bad.PROVIDER, None], "rechunk": bad.FLAG, "progress": bad.CALLBACK},
        {"embedder": ("provider",)},
    ),
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
    "Bot.optimize": Row({}, {"wait": bad.FLAG}),
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
    "Bot.delete": Row({}, {"erase": bad.FLAG}),
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
    "Sources.remove": Row(
        {"source": "inline"}, {"source": bad.SOURCE, "erase": bad.FLAG, "chats": [*bad.MODE, "SCRUB", "delete"]}
    ),
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
        {
            "*keys": bad.IDENTIFIER,
            "source": bad.without(bad.SOURCE, None),
            "erase": bad.FLAG,
            "chats": [*bad.MODE, "SCRUB", "delete"],
        },
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
