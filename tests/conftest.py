"""Options of the test run."""

from __future__ import annotations

import os
import random

import pytest

from tests.servers.postgres_server import postgres

__all__ = ["postgres"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the crash tests can be told."""
    group = parser.getgroup("crash tests")
    group.addoption("--rounds", type=int, default=6, metavar="N", help="how many workspaces are killed (default: 6)")
    group.addoption(
        "--seconds",
        type=float,
        default=4.0,
        metavar="S",
        help="how long processes and threads work at once (default: 4)",
    )
    group.addoption(
        "--filters", type=int, default=150, metavar="N", help="how many filters are searched with (default: 150)"
    )
    group.addoption("--seed", type=int, metavar="N", help="the first round's seed, to repeat a failure with --rounds 1")


def pytest_configure(config: pytest.Config) -> None:
    """Choose a seed if none is given; the names of the tests show it. Workers of pytest-xdist all choose the same."""
    if config.option.seed is None:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
        config.option.seed = random.Random(run).randrange(1_000_000)
