"""The state machine finds nothing wrong with a workspace on PostgreSQL and FAISS."""

from __future__ import annotations

from pathlib import Path

from minirag.testing.machine import WorkspaceMachine, run_workspace_machine
from minirag.workspace import Workspace
from tests.servers.postgres_server import PostgresServer

PROGRAMMES = 2


def test_a_workspace_is_what_its_calls_make_it(postgres: PostgresServer) -> None:
    """Whatever two tenants do, each sees its own, whole and up to date, and nothing of the other's."""
    schemas: dict[Path, str] = {}

    class Machine(WorkspaceMachine):
        """Drives PostgreSQL and FAISS."""

        def make_workspace(self, folder: Path) -> Workspace:
            if folder not in schemas:
                schemas[folder] = postgres.new_schema()
            return Workspace.open(
                postgres.url(schemas[folder]), embedder=self.make_embedder(), plugins=(), cache_dir=folder / "cache"
            )

    run_workspace_machine(Machine, programmes=PROGRAMMES, steps=20)
