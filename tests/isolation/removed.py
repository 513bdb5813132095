"""Takes the tenant's condition out of one place in the statements after another, and looks whether the storage's suite notices.

A place is a statement and a table in it. `python -m tests.isolation.removed SEED COUNT` prints a JSON object: each place, and the clause that noticed, or null. COUNT 0
stands for all of them. Each place is tried in a forked process, in which the provider is imported anew.

The suite runs on a database in which every tenant has twins (see `twins`). Without them half of the places would be noticed by nothing:
ids are random, so another condition of the same call finds the row or does not.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import random
import select
import sqlite3
import sys
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import bindparam, literal_column

from minirag.interfaces.storage import Storage
from minirag.testing.storage_world import StorageWorld
from tests.isolation.probes import TwinClauses

PROVIDER = "minirag.providers.sqlalchemy"
FIRST = ("test_s04", "test_s05", "test_t")
"""Clauses that are about nothing but other tenants: tried first."""

CANNOT_MATTER = {
    "filtered._found_by chunks": "it names documents that the statement around it then holds to the tenant and puts to the whole filter: "
    "to name more of them changes nothing",
}
"""Conditions that nothing can notice, each with the reason why."""

OF_CHUNKS = ("chunks", "documents")
OF_SOURCES = ("documents", "sources")
JOINED = {
    "fields._filling": OF_CHUNKS,
    "filtered._allowed": OF_CHUNKS,
    "narrowing._of_column": OF_CHUNKS,
    "statements.HITS": ("chunks", "documents", "sources"),
    "statements.ORDER": ("chunks", "documents", "sources"),
    "statements._DOCUMENTS": OF_SOURCES,
    "statements._INDEX_TEXTS": OF_CHUNKS,
    "statements.count_documents": OF_SOURCES,
}
"""Tables that a statement joins on the tenant as well, so that the condition on one holds all of them: all are taken out at once."""

IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where worlds lie, if there is such a folder: each that is closed waits for the disk otherwise."""


class Suite(TwinClauses):
    """The clauses, on copies of one empty database: to make its tables takes longer than most clauses."""

    def __init__(self, empty: Path) -> None:
        self.empty = empty
        self.opened: list[Any] = []

    def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
        from tests.isolation.twin_storage import TwinStorage

        self.opened.append(TwinStorage(location, read_only=read_only, empty=self.empty))
        return cast("Storage", self.opened[-1])


def import_provider(without: Iterable[str] = (), *, told: bool = False) -> set[str]:
    """Import the provider with the condition taken out of some places; return all places where it is put in.

    Args:
        told: name the place in the SQL as well.
    """
    from minirag.providers.sqlalchemy import scoping

    places: set[str] = set()
    held = scoping.held

    def watched(table: Any) -> Any:
        place = place_of(table)
        places.add(place)
        if told:
            return held(table) & literal_column(f"'{place}'").is_not(None)
        # The parameter stays in the statement, so that nothing fails but isolation.
        return bindparam("scope").is_not(None) if place in without else held(table)

    scoping.held = watched
    from minirag.providers.sqlalchemy import storage  # noqa: F401 - it imports the rest

    for name in ("checking", "repairing", "moving", "erasing", "identity", "accounting", "access", "purging"):
        with contextlib.suppress(ModuleNotFoundError):
            __import__(f"{PROVIDER}.{name}")
    return places


def place_of(table: Any) -> str:
    """Return the place of a condition: where the statement is written, and the table that is held."""
    written = site()
    joined = JOINED.get(written, ())
    return f"{written} {' '.join(joined) if table.name in joined else table.name}"


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
    """Return the names of the suite's tests that need nothing but a world and a folder, those about tenants first."""
    names = []
    for name, method in inspect.getmembers(Suite, inspect.isfunction):
        if name.startswith("test_") and {*inspect.signature(method).parameters} <= {"self", "world", "tmp_path"}:
            names.append(name)
    return sorted(names, key=lambda name: (not name.startswith(FIRST), name))


def failure(suite: Suite, name: str) -> str | None:
    """Run a clause; return why it failed."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        place, world = Path(folder), None
        try:
            world = StorageWorld(lambda *, read_only=False: suite.make_storage(place / "kb", read_only=read_only))
            clause = getattr(suite, name)
            clause(world, place) if "tmp_path" in inspect.signature(clause).parameters else clause(world)
        except pytest.skip.Exception:
            return None
        except Exception:
            return traceback.format_exc()
        finally:
            if world is not None:
                world.close()
    return next((f"a row of another tenant in {storage.touched}" for storage in suite.opened if storage.touched), None)


# ---------------------------------------------------------------- what a process does
def make_empty(folder: Path) -> None:
    """Make the database that worlds begin with."""
    from tests.isolation.twin_storage import TwinStorage

    TwinStorage(folder).close()


def places_by_clause(empty: Path) -> dict[str, list[str]]:
    """Run the whole suite with every condition in place; return the places that each clause comes by.

    Raises:
        AssertionError: if a clause fails.
    """
    places = import_provider(told=True)
    from minirag.providers.sqlalchemy import engine

    ran: list[str] = []
    connect = engine.connect

    def overheard(settings: engine.Settings) -> sqlite3.Connection:
        connection = connect(settings)
        connection.set_trace_callback(ran.append)
        return connection

    engine.connect = overheard
    found = {}
    for name in clauses():
        ran.clear()
        why = failure(Suite(empty), name)
        assert why is None, f"{name} fails with every condition in place:\n{why}"
        sql = "\n".join({*ran})
        found[name] = [place for place in sorted(places) if f"'{place}'" in sql]
    return {**found, "": sorted(places)}


def noticed_by(place: str, names: Iterable[str], empty: Path) -> str | None:
    """Take the condition out of a place, and run clauses until one fails; return its name."""
    import_provider({place})
    for name in names:
        if (why := failure(Suite(empty), name)) is not None:
            if "--why" in sys.argv:
                print(why, file=sys.stderr)
            return name
    return None


def forked(*works: Callable[[], Any]) -> list[Any]:
    """Return what functions return, each called in a process of its own, as many at a time as there are processors.

    Raises:
        SystemExit: if one of them raised or died.
    """
    results: list[Any] = [None] * len(works)
    waiting, running = deque(enumerate(works)), dict[int, int]()
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            number, work = waiting.popleft()
            running[_child(work)] = number
        for pipe in select.select([*running], [], [])[0]:
            with os.fdopen(pipe) as answer:
                result = json.load(answer)
            os.wait()
            if "raised" in result:
                raise SystemExit(result["raised"])
            results[running.pop(pipe)] = result["returned"]
    return results


def _child(work: Callable[[], Any]) -> int:
    """Call a function in a process of its own; return the pipe that its result comes by."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        try:
            result = {"returned": work()}
        except BaseException:
            result = {"raised": traceback.format_exc()}
        with os.fdopen(writing, "w") as pipe:
            json.dump(result, pipe)
        os._exit(0)
    os.close(writing)
    return reading


def main(seed: int, count: int) -> dict[str, str | None]:
    """Return what noticed each of so many places, chosen at random."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        empty = Path(folder)
        forked(partial(make_empty, empty))
        (by_clause,) = forked(partial(places_by_clause, empty))
        places = {*by_clause.pop("")}
        come_by = {place: [name for name, ran in by_clause.items() if place in ran] for place in places}
        joined = {f"{written} {' '.join(tables)}" for written, tables in JOINED.items()}
        if gone := (CANNOT_MATTER.keys() | joined) - places:
            raise SystemExit(f"no statement is held at {sorted(gone)}")
        matter = sorted(places - CANNOT_MATTER.keys())
        chosen = sorted(places) if count == 0 else sorted(random.Random(seed).sample(matter, min(count, len(matter))))
        noticed = forked(*(partial(noticed_by, place, come_by[place], empty) for place in chosen))
        return dict(zip(chosen, noticed, strict=True))


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2])), indent=1))
