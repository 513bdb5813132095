"""Who may do what: every public method of a session, called by every kind of caller, on both faces."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

import minirag
from minirag import errors
from minirag.aio.runner import Runner
from minirag.security.access import ACTIONS
from tests.access.calls import CALLS
from tests.access.world import CALLERS, Handles, World

MATRIX: Final = Path(__file__).with_name("matrix.txt")
"""What was decided: by call and caller `yes`, `no` (denied), `missing` (as if it did not exist), `ended` (the session), or
`input` (a wrong call). It is written by hand and knows nothing of the table in the library."""

PLAIN: Final = {"id", "name", "profile", "tenant", "principal"}
"""What a handle tells without asking anybody: what it saw when it was made."""


def decided() -> dict[str, tuple[str, dict[str, str]]]:
    """Return the action of each call, and what comes of it by caller."""
    head, *rows = [line.split() for line in MATRIX.read_text(encoding="utf-8").splitlines()]
    assert tuple(head) == ("call", "action", *CALLERS)
    return {call: (action, dict(zip(CALLERS, cells, strict=True))) for call, action, *cells in rows}


DECIDED: Final = decided()
ALSO: Final = {("documents.erase", "documents.remove"), ("documents.erase", "sources.remove")}
"""What some calls take, which may be what is missing, before the action that was decided."""
CHANGES: Final = {"add", "erase", "remove", "write", "create", "update", "reembed", "delete"}
"""Actions, by what stands after the dot, that may change what the next call finds: each has a tenant of its own."""


@pytest.fixture(scope="module")
def workspace() -> Iterator[minirag.Workspace]:
    """A workspace in memory, for all tenants of this module."""
    with minirag.Workspace.open(":memory:", embedder="hashing") as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(workspace: minirag.Workspace) -> World:
    """A tenant for calls that are refused."""
    return World(workspace)


async def outcome(made: Any, action: str) -> str:
    """Return what comes of a call, carried out to its end; what is denied is the action that was decided."""
    try:
        result = made()
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, AsyncIterator):
            async for _ in result:
                pass
        elif isinstance(result, Iterator):
            list(result)
    except errors.SessionEndedError:
        return "ended"
    except errors.AccessDeniedError as problem:
        right = problem.action == action or (action, problem.action) in ALSO
        return "no" if right and not problem.retryable else f"no: {problem.action}"
    except (errors.NotFoundError, errors.EvidenceGoneError):
        return "missing"
    except errors.InvalidInputError:
        return "input"
    return "yes"


@pytest.mark.parametrize("face", ["sync", "async"])
@pytest.mark.parametrize("call", DECIDED)
def test_as_decided(call: str, face: str, workspace: minirag.Workspace, shared: World) -> None:
    """What was decided is what comes of it, and what is refused changes nothing."""
    action, expected = DECIDED[call]

    async def found() -> dict[str, str]:
        runner = Runner(1) if face == "async" else None
        results = {}
        for caller, expectation in expected.items():
            alone = expectation == "yes" and (
                action in ("tokens.own", "passwords.own") or action.partition(".")[2] in CHANGES
            )
            if alone and runner is not None and caller != "owner":
                # Whoever may, does the same thing: on this face once.
                results[caller] = expectation
                continue
            world = World(workspace, (caller,)) if alone else shared
            handles = Handles(world, caller, runner)
            results[caller] = await outcome(lambda: CALLS[call](handles), action)  # noqa: B023 - it is called at once
        if runner is not None:
            runner.close()
        return results

    assert asyncio.run(found()) == expected
    assert shared.contents() == shared.state


def methods() -> set[str]:
    """Return the public methods of everything that a session gives, as `Class.name`."""
    classes = (
        minirag.TenantSession,
        minirag.Bot,
        minirag.Chat,
        minirag.Citation,
        *(type(part) for part in parts_of(minirag.TenantSession)),
        *(type(part) for part in parts_of(minirag.Bot)),
    )
    return {
        f"{kind.__name__}.{name}"
        for kind in classes
        for name, member in inspect.getmembers(kind)
        if not name.startswith(("_", "model_"))
        and name not in PLAIN | set(dir(BaseModel))
        and (inspect.isfunction(member) or isinstance(member, property))
    }


def parts_of(kind: type[Any]) -> list[Any]:
    """Return the plain attributes of a session or a bot that have public methods of their own."""
    with minirag.Workspace.open(":memory:", embedder="hashing") as opened:
        session = opened.tenant("acme", create=True)
        holder = session if kind is minirag.TenantSession else session.bot("support", create=True)
        return [
            value
            for name, value in vars(holder).items()
            if not name.startswith("_")
            and type(value).__module__.startswith("minirag.")
            and not isinstance(value, BaseModel)
        ]


def test_every_method_is_decided() -> None:
    """A public method of a session, or of anything it gives, that has no row here may not be published."""
    assert {call.partition("=")[0] for call in DECIDED} == methods()


def test_every_action_is_decided() -> None:
    """Each action of the table is the row of a call, and there are no others."""
    assert {action for action, _ in DECIDED.values()} == set(ACTIONS)
    assert list(CALLS) == list(DECIDED)


def test_the_page_shows_the_table() -> None:
    """The documentation's table of actions is the library's."""
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "access.md").read_text(encoding="utf-8")
    rows = [
        f"| `{name}` | {rule.what} | {rule.role} | {rule.scope} | {'no' if rule.whole_tenant else 'yes'} |"
        for name, rule in ACTIONS.items()
    ]
    shown = [line for line in page.splitlines() if line.startswith("| `") and line.split("`")[1] in ACTIONS]
    assert shown == rows
