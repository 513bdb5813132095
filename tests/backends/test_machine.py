"""The two-tenant machine finds nothing wrong with a workspace on any backend; each is driven by the same programmes."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirag.testing.machine import WorkspaceMachine, run_workspace_machine
from minirag.workspace import Workspace
from tests.backends.places import BACKENDS, Backend, Place
from tests.servers.postgres_server import PostgresServer


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_a_workspace_is_what_its_calls_make_it(
    backend: Backend, postgres: PostgresServer, request: pytest.FixtureRequest
) -> None:
    """Whatever two tenants do, each sees its own, whole and up to date, and nothing of the other's."""
    places: dict[Path, Place] = {}

    class Machine(WorkspaceMachine):
        """Drives one backend."""

        def make_workspace(self, folder: Path) -> Workspace:
            if folder not in places:
                places[folder] = Place(backend, folder, postgres, engine_from=6)
            return places[folder].open(embedder=self.make_embedder())

        def teardown(self) -> None:
            super().teardown()
            while places:
                places.popitem()[1].close()

    option = request.config.getoption
    run_workspace_machine(Machine, programmes=option("programmes"), steps=option("steps"), seed=option("seed"))
