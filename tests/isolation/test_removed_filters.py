"""Each place where a statement is held to its tenant is held by a test: without it alone, the storage's suite goes red.

`nox -s isolation` tries every place; the default run tries a few, chosen by its seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.isolation.removed import CANNOT_MATTER

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_a_missing_condition_is_noticed(request: pytest.FixtureRequest) -> None:
    """By a clause about isolation, or by any other; none but those that cannot matter goes unnoticed."""
    seed, count = request.config.getoption("--seed"), request.config.getoption("--places")
    done = subprocess.run(
        [sys.executable, "-m", "tests.isolation.removed", str(seed), str(count)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    noticed = json.loads(done.stdout)
    assert len(noticed) == count if count else len(noticed) > 120
    unnoticed = {place for place, clause in noticed.items() if clause is None}
    assert unnoticed == CANNOT_MATTER.keys() & noticed.keys()
