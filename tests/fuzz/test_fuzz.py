"""Random bytes from outside find no crash, no hang and no unbounded memory. `nox -s fuzz -- --fuzz-seconds 60`."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A process of its own changes good inputs at random; what it does not survive, it leaves behind."""
    seconds, seed = request.config.getoption("--fuzz-seconds"), request.config.getoption("--seed")
    more = ["--guided"] if request.config.getoption("--guided") else []
    if more and find_spec("atheris") is None:
        pytest.skip("Atheris is not installed")
    # Atheris looks at every function that is loaded before it begins.
    slack = 900 if more else 120
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.worker", target, str(seconds), str(seed), str(tmp_path), *more],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds + slack,
    )  # fmt: skip
    left = [path for path in tmp_path.iterdir() if path.is_file()]
    found = f"seed {seed}: {left[0].read_bytes()[:2_000]!r}" if left else f"seed {seed}"
    assert done.returncode == 0, f"{done.stderr[-3_000:]}\n{found}"
    assert "inputs" in done.stdout


def test_a_finding_is_reported(tmp_path: Path) -> None:
    """A target that fails, hangs or eats memory ends the process, and the input stays."""
    code = """
import sys, time
from pathlib import Path
from tests.fuzz import targets, worker
worker.SLOWEST = 0.5
def run(data):
    if data != b"good":
        {fault}
targets.TARGETS["bad"] = targets.Target(lambda: [b"good"], run)
worker.main("bad", 1.0, 1, Path(sys.argv[1]), guided=False)
"""
    for fault in ("raise KeyError(data)", "time.sleep(5)", "bytearray(4_000_000_000)"):
        folder = tmp_path / fault[:5]
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code.format(fault=fault), str(folder)], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode != 0, fault
        assert [path.name for path in folder.iterdir()] == ["bad-1"], fault
