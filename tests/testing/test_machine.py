"""The state machine finds nothing wrong with a workspace, and it has a rule for everything that a tenant can call."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from minirag.testing.machine import WorkspaceMachine, run_workspace_machine
from minirag.testing.machine_listening import FACES, check_archive
from minirag.testing.machine_oracle import FOLDER, TENANTS, Given, canary

VARIABLE = "MINIRAG_MACHINE_PROGRAMMES"
PROGRAMMES = 20
DOCUMENTS = [
    Given("a", "The red kettle of {c} boils water in two minutes.", "Kettles", {"lang": "en"}),
    Given("b", "The bridge is closed on Mondays.", None, {"year": 2020}),
]


class Machine(WorkspaceMachine):
    """Drives SQLite and FAISS."""

    heard: ClassVar[set[str]] = set()


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine that has made its workspace and two bots for each tenant."""
    made = Machine()
    try:
        made.start(documents=DOCUMENTS)
        yield made
    finally:
        made.teardown()


def test_a_workspace_is_what_its_calls_make_it() -> None:
    """Whatever two tenants do, each sees its own, whole and up to date, and nothing of the other's.

    The programmes are the same each time; MINIRAG_MACHINE_PROGRAMMES=500 runs so many others.
    """
    more = os.environ.get(VARIABLE)
    print(f"{more or PROGRAMMES} programmes; for more, set {VARIABLE}=500")
    run_workspace_machine(Machine, programmes=int(more or PROGRAMMES), derandomize=not more, shrink=bool(more))


def test_every_method_of_a_tenant_has_a_rule(machine: Machine) -> None:
    """A public method that no rule calls fails here."""
    for tenant in TENANTS:
        for short in (False, True):
            for asynchronous in (False, True):
                _tour(machine, short=short, tenant=tenant, name="support", handle=2 * asynchronous)
    methods = {
        f"{face.__name__}.{name}"
        for face in FACES
        for name, member in vars(face).items()
        if not name.startswith("_") and callable(member)
    }
    assert methods - Machine.heard == set()


def _tour(machine: Machine, *, short: bool, **bot: Any) -> None:
    """Call every rule, and where there are two ways the one or the other. Two workspaces are open meanwhile."""
    tenant, handle = bot["tenant"], bot["handle"]
    question = {"query": "How fast does the kettle boil water?", "where": None}
    machine.reopen(number=0)
    machine.write_files(tenant=tenant, changes={"a.txt": "A kettle.", "b.txt": "Gone."})
    machine.add(**bot, label="notes", documents=DOCUMENTS, several=short)
    machine.add_again(**bot, place=0, changes={"title": "Kettles"}, near=short)
    machine.add_folder(**bot)
    machine.register_text(**bot, text="A bridge.")
    machine.update(**bot, changes={"chunker": "whole", "language": "en"}, short=short, ingest=short)
    machine.update_source(**bot, label=FOLDER, given=DOCUMENTS[1], rename=True)
    machine.write_files(tenant=tenant, changes={"b.txt": None})
    machine.read_source(**bot, label=FOLDER)
    machine.ingest(**bot)
    machine.optimize(**bot, wait=short)
    machine.reembed(**bot, other=short, rechunk=True)
    machine.reembed(**bot, other=True, rechunk=not short)
    machine.list_documents(**bot, where={"year": 2020}, label="notes")
    machine.read_everything(**bot)
    for mode in ("dense", "keyword", "hybrid"):
        machine.search(**bot, query="kettle", k=3, where={"lang": "en"}, mode=mode, exact=short)
        machine.search_all_bots(tenant=tenant, handle=handle + 1, query="kettle", k=3, where=None, mode=mode)
    machine.ask(**bot, **question, stream=short)
    machine.chat(**bot, query="Is the bridge closed?", new=True, stream=short)
    assert machine.cited
    machine.evaluate(**bot)
    machine.foreign_ids_are_missing_ids(**bot)
    for email, role in (("ann@example.com", "owner"), ("bob@example.com", "member"), ("ann@example.com", "admin")):
        machine.put_person(tenant=tenant, handle=handle, email=email, role=role)
    machine.sign_in(tenant=tenant, handle=handle, email="ann@example.com")
    machine.change_password(tenant=tenant, handle=handle, email="ann@example.com")
    machine.use_token(tenant=tenant, handle=handle + 1, email="bob@example.com", everything=short)
    machine.remove_person(tenant=tenant, handle=handle + 1, email="bob@example.com")
    machine.sign_in(tenant=tenant, handle=handle + 1, email="bob@example.com")
    machine.erase(**bot, label="notes", whole=short, chats="keep" if short else "scrub", sure=0)
    machine.remove(**bot, keys=["b"], label="notes")
    machine.remove_source(**bot, label=FOLDER)
    machine.old_citations_keep_their_evidence(handle=handle + 1)
    machine.a_fresh_workspace_answers_the_same(query="kettle", k=3, where=None)
    machine.a_moved_tenant_answers_the_same(tenant=tenant, handle=handle, query="kettle", where=None, sure=4)
    machine.nothing_is_wrong(handle=handle, deep=short)
    machine.delete_chat(**bot, directly=short)
    machine.everything_is_as_expected()
    machine.delete(**(bot | {"handle": handle + short}), sure=True)
    machine.create(**bot, changes={}, short=short)
    machine.suspend(tenant=tenant, handle=handle)
    machine.reopen(number=1)


@pytest.mark.parametrize("where", ["member", "comment", "own"])
def test_an_archive_that_tells_is_noticed(machine: Machine, where: str, tmp_path: Path) -> None:
    """A word of another tenant in a member, or between members; what is the tenant's own is no word of another."""
    acme, rival = TENANTS
    archive = tmp_path / "archive"
    machine.handles[0].tenants.export(acme, archive, progress=False)
    check_archive(archive, forbidden=(canary(rival),))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as changed:
        if where == "member":
            changed.writestr("spare", f"... {canary(rival)} ...")
        elif where == "comment":
            changed.comment = canary(rival).encode()
    with pytest.raises(AssertionError, match="of another tenant"):
        check_archive(archive, forbidden=(canary(acme if where == "own" else rival),))
