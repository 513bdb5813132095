"""Every public method, given what it cannot take: an error of ours that says what to do, and nothing is changed."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import GeneratorType
from typing import Any

import pytest

import minirag
from minirag.accounting import AuditLog, UsageLedger
from minirag.errors import MiniRAGError, WorkspaceClosedError
from minirag.models.checks import clipped
from minirag.security.passwords import Cost, Passwords
from minirag.session import Bots
from tests.public.bad_calls import ROWS

CLASSES = {
    "Workspace": minirag.Workspace,
    "Tenants": __import__("minirag.tenants", fromlist=["Tenants"]).Tenants,
    "Erasures": __import__("minirag.erasures", fromlist=["Erasures"]).Erasures,
    "TenantSession": minirag.TenantSession,
    "Bots": Bots,
    "Users": __import__("minirag.users", fromlist=["Users"]).Users,
    "Tokens": __import__("minirag.tokens", fromlist=["Tokens"]).Tokens,
    "UsageLedger": UsageLedger,
    "AuditLog": AuditLog,
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


CASES = [(name, parameter) for name, row in ROWS.items() for parameter in row.bad]


def public_methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield every public method and property that these classes define, and the constructor of the one that has one."""
    for name, kind in CLASSES.items():
        # What a class takes from a base of ours is its own to whoever calls it; a model's base is pydantic's affair.
        bases = [base for base in kind.__mro__[1:] if base.__module__ == "minirag.upkeep"]
        for member in [*vars(kind), *(member for base in bases for member in vars(base))]:
            if not member.startswith("_") or (name, member) == ("Workspace", "__init__"):
                value = inspect.getattr_static(kind, member)
                function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
                if inspect.isfunction(function) and f"{name}.{member}" not in PLAIN and not member.startswith("model_"):
                    yield f"{name}.{member}", function


def make_world(folder: Path) -> World:
    workspace = minirag.Workspace.open(folder, embedder="hashing")
    workspace._core.passwords.passwords = Passwords(Cost(passes=1, kibibytes=64, lanes=1))
    session = workspace.tenant("acme", create=True)
    session.users.create("ann@example.com", "a long password")
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
        "Erasures": workspace.erasures,
        "TenantSession": session,
        "Bots": session.bots,
        "Users": session.users,
        "Tokens": session.tokens,
        "UsageLedger": session.usage,
        "AuditLog": session.audit,
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
            "index": core.partitions.vectors,
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
