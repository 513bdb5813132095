"""The same random programme on every backend at once: equal results, equal errors."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from minirag.testing import check_congruence
from tests.backends.places import BACKENDS, place
from tests.servers.postgres_server import PostgresServer


def test_every_backend_answers_alike(tmp_path: Path, postgres: PostgresServer, request: pytest.FixtureRequest) -> None:
    """Adding, changing, removing, searching under filters, asking and chatting, in two tenants."""
    option = request.config.getoption
    for number in range(max(1, option("programmes") // 2)):
        with ExitStack() as stack:
            opened = [
                stack.enter_context(
                    stack.enter_context(place(backend, tmp_path / f"{number}{backend.name}", postgres)).open()
                )
                for backend in BACKENDS
            ]
            assert check_congruence(*opened, seed=option("seed") + number, steps=3 * option("steps")) > option("steps")
