"""Takes the tenant's condition out of one place in the statements after another, and looks whether the storage's suite notices.

`python -m tests.isolation.removed SEED COUNT` prints a JSON object: each place, and the clause that noticed, or null. COUNT 0
stands for all of them. Each place is tried in a forked process, in which the provider is imported anew.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam

from minirag.interfaces.storage import Storage
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld

PROVIDER = "minirag.providers.sqlalchemy"
FIRST = ("test_s04", "test_s05")
"""Clauses that are about nothing but other tenants: tried first."""

SECOND_LOCKS = frozenset(
    {
        "accounting._CALL",
        "check_statements.CHUNK_COUNT",
        "check_statements.CHUNK_SPAN",
        "check_statements.DELETE_LOG",
        "check_statements.DELETE_OTHER_SPACES",
        "check_statements.DELETE_VECTORS",
        "check_statements.DOCUMENTS_OF_CHUNKS",
        "check_statements.DOCUMENTS_PAGE",
        "check_statements.FORGET_VERSIONS",
        "check_statements.HAS_SPACE",
        "check_statements.MARK_DOCUMENTS",
        "check_statements.PUT_FINGERPRINT",
        "check_statements.PUT_PROFILE",
        "check_statements.VECTORS_PAGE",
        "check_statements.VERSION_MISSING",
        "check_statements._CHUNKS",
        "check_statements._DOCUMENTS",
        "check_statements._EMBEDDINGS",
        "check_statements._FIELDS",
        "check_statements._ITS_CHUNK",
        "check_statements._ITS_VECTOR",
        "check_statements._ITS_VERSION",
        "erasing._CHATS",
        "erasing._HELD",
        "erasing._HOLDERS",
        "erasing._MESSAGES",
        "fields.DECLARED",
        "fields._ERASE",
        "fields._ERASE_DOCUMENTS",
        "fields._filling",
        "filtered._LAST_KEY",
        "moving._CHUNKS",
        "moving._CURRENT",
        "spaces.DROP_EMBEDDINGS",
        "spaces.MARK_RECUT",
        "spaces._FAMILIARITY",
        "spaces._KEYS",
        "spaces._NO_FAMILIARITY",
        "spaces._OTHER_SPACES",
        "spaces._PRESENT",
        "spaces._SUMS",
        "spaces._of_chunk",
        "statements.BLOCKS",
        "statements.BLOCKS_OF_VERSIONS",
        "statements.CHUNKS_OF_DOCUMENTS",
        "statements.CURRENT_DOCUMENTS",
        "statements.DELETE_CHUNKS",
        "statements.DELETE_DOCUMENTS",
        "statements.DELETE_VERSIONS",
        "statements.DOCUMENTS_BY_ID",
        "statements.DOCUMENT_BY_ID",
        "statements.DOCUMENT_IDS_OF_SOURCE",
        "statements.LAST_MESSAGE_NUMBER",
        "statements.MARK_STALE",
        "statements.MESSAGE_NUMBER",
        "statements.RETITLE_VERSION",
        "statements.SPACE_OF_BOT",
        "statements.UPDATE_BOT_LOG",
        "statements.UPDATE_DOCUMENT",
        "statements.VECTORS_BY_HASH",
        "statements.VERSIONS_OF_DOCUMENTS",
        "statements._BOT_IDS",
        "statements._BOT_OF_SOURCE",
        "statements._CHUNK_BLOCKS",
        "statements._CURRENT",
    }
)
"""Places where rows are reached through rows that were found under the scope, or by ids that the tenant's own lists gave: taken
out alone they change nothing, since ids are random and another condition of the same call asks for the tenant. Taken out together
they are noticed.
"""


class _Suite(StorageConformance):
    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage

        return SqlAlchemyStorage(location, read_only=read_only)


def import_provider(without: frozenset[str]) -> set[str]:
    """Import the provider with the condition taken out of some places; return all places where it is put in."""
    from minirag.providers.sqlalchemy import scoping

    places: set[str] = set()
    held = scoping.held

    def watched(table: Any) -> Any:
        place = site()
        places.add(place)
        # The parameter stays in the statement, so that nothing fails but isolation.
        return bindparam("scope").is_not(None) if place in without else held(table)

    scoping.held = watched
    from minirag.providers.sqlalchemy import storage  # noqa: F401 - it imports the rest

    for name in ("checking", "repairing", "moving", "erasing", "identity", "accounting", "access", "purging"):
        with contextlib.suppress(ModuleNotFoundError):
            __import__(f"{PROVIDER}.{name}")
    return places


def site() -> str:
    """Return where the statement is written, as `module.NAME`: the first place outside of `scoping` that led here."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") in (f"{PROVIDER}.scoping", __name__):
        frame = frame.f_back
    assert frame is not None
    name = frame.f_globals["__name__"].removeprefix(PROVIDER + ".")
    return f"{name}.{names_of(frame.f_code.co_filename)[frame.f_lineno]}"


@cache
def names_of(file: str) -> dict[int, str]:
    """Return, for each line of a module, the name that is defined there, a method's with its class."""
    names: dict[int, str] = {}

    def visit(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            name = getattr(node, "name", None)
            if isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                name = ast.unparse(target)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                names[line] = f"{prefix}{name or '(module)'}"
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")

    visit(ast.parse(Path(file).read_text(encoding="utf-8")).body, "")
    return names


def clauses() -> list[str]:
    """Return the names of the suite's tests that need nothing but a world, those about tenants first."""
    names = []
    for name, method in inspect.getmembers(_Suite, inspect.isfunction):
        if name.startswith("test_") and [*inspect.signature(method).parameters] == ["self", "world"]:
            names.append(name)
    return sorted(names, key=lambda name: (not name.startswith(FIRST), name))


def noticed_by() -> str | None:
    """Run the suite until a clause fails; return its name."""
    suite = _Suite()
    for name in clauses():
        with tempfile.TemporaryDirectory() as folder:
            world = StorageWorld(
                lambda *, read_only=False, place=Path(folder): suite.make_storage(place, read_only=read_only)
            )
            try:
                getattr(suite, name)(world)
            except pytest.skip.Exception:
                pass
            except Exception:
                if "--why" in sys.argv:
                    traceback.print_exc()
                return name
            finally:
                world.close()
    return None


def forked(work: Callable[[], Any]) -> Any:
    """Return what a function returns in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            result = json.dumps(work())
        except BaseException:
            result = json.dumps(traceback.format_exc().strip().splitlines()[-1])
        with os.fdopen(writing, "w") as pipe:
            pipe.write(result)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return json.loads(result)


def without(*places: str) -> str | None:
    """Return the clause that notices that the condition is not in these places."""
    import_provider(frozenset(places))
    return noticed_by()


def main(seed: int, count: int) -> dict[str, str | None]:
    """Return what noticed each of so many places, chosen at random, and what noticed that all second locks are open."""
    places = set(forked(lambda: sorted(import_provider(frozenset()))))
    if gone := SECOND_LOCKS - places:
        raise SystemExit(f"no statement is held at {sorted(gone)}")
    if (wrong := forked(without)) is not None:
        raise SystemExit(f"the suite fails with every condition in place: {wrong}")
    first = sorted(places - SECOND_LOCKS)
    chosen = first if count == 0 else sorted(random.Random(seed).sample(first, min(count, len(first))))
    noticed = {place: forked(partial(without, place)) for place in chosen}
    return {**noticed, "all second locks": forked(partial(without, *SECOND_LOCKS))}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2])), indent=1))
