"""Options of the test run."""

from __future__ import annotations

import os
import random
from importlib.util import find_spec

import pytest

from tests.servers.postgres_server import postgres

__all__ = ["postgres"]

# A package of its own: `nox -s sample_plugin` installs it and runs them.
collect_ignore = [] if find_spec("minirag_sample") else ["sample_plugin"]


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
    group.addoption(
        "--programmes", type=int, default=2, metavar="N", help="how many programmes each backend runs (default: 2)"
    )
    group.addoption("--steps", type=int, default=20, metavar="M", help="how many calls a programme makes (default: 20)")
    group.addoption(
        "--chunks", type=int, default=3_000, metavar="C", help="how many chunks each backend searches (default: 3000)"
    )
    group.addoption(
        "--fuzz-seconds", type=float, default=0.5, metavar="S", help="how long each target is fuzzed (default: 0.5)"
    )
    group.addoption(
        "--places", type=int, default=4, metavar="N", help="how many conditions are taken out, 0 for all (default: 4)"
    )
    group.addoption("--guided", action="store_true", help="fuzz with Atheris, which follows the code that is reached")
    group.addoption(
        "--documents", type=int, default=1_000, metavar="N", help="documents of a tenant that moves (default: 1000)"
    )
    group.addoption("--seed", type=int, metavar="N", help="the first round's seed, to repeat a failure with --rounds 1")


def pytest_configure(config: pytest.Config) -> None:
    """Choose a seed if none is given; the names of the tests show it. Workers of pytest-xdist all choose the same."""
    if config.option.seed is None:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
        config.option.seed = random.Random(run).randrange(1_000_000)
