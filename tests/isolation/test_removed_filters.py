"""Each place where a statement is held to its tenant is held by a test: without it, the storage's suite goes red.

`nox -s isolation` tries every place; the default run tries a few, chosen by its seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_a_missing_condition_is_noticed(request: pytest.FixtureRequest) -> None:
    """By a clause about isolation, or by any other."""
    seed, count = request.config.getoption("--seed"), request.config.getoption("--places")
    done = subprocess.run(
        [sys.executable, "-m", "tests.isolation.removed", str(seed), str(count)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    noticed = json.loads(done.stdout)
    assert len(noticed) > (60 if count == 0 else count)
    assert [place for place, clause in noticed.items() if clause is None] == []
