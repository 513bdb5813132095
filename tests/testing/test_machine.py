"""The state machine finds nothing wrong with a workspace, and it has called everything that a tenant can call."""

from __future__ import annotations

import os

import pytest

from minirag.testing.machine import WorkspaceMachine, run_workspace_machine
from minirag.testing.machine_listening import FACES

VARIABLE = "MINIRAG_MACHINE_PROGRAMMES"
LONGER = f"to run more, other ones each time: {VARIABLE}=500 python -m pytest tests/testing/test_machine.py"
PROGRAMMES = 20


class Machine(WorkspaceMachine):
    """Drives SQLite and FAISS."""

    heard = set()


@pytest.fixture(scope="module")
def driven() -> type[Machine]:
    """The machine, after it has run: a few programmes, always the same ones, unless the environment asks for more."""
    more = os.environ.get(VARIABLE)
    print(f"{more or PROGRAMMES} programmes; {LONGER}")
    run_workspace_machine(Machine, programmes=int(more or PROGRAMMES), derandomize=not more, shrink=bool(more))
    return Machine


def test_a_workspace_is_what_its_calls_make_it(driven: type[Machine]) -> None:
    """Whatever two tenants do, each sees its own, whole and up to date, and nothing of the other's."""
    assert driven.heard


def test_every_method_of_a_tenant_was_called(driven: type[Machine]) -> None:
    """A public method without a rule of the machine fails here."""
    methods = {
        f"{face.__name__}.{name}"
        for face in FACES
        for name, member in vars(face).items()
        if not name.startswith("_") and callable(member)
    }
    assert methods - driven.heard == set()
