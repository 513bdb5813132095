"""Run in a clean environment that holds the wheel alone: what came with it, and whether it works."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from importlib import metadata

MOST_DISTRIBUTIONS = 36
TOOLS = {"pip", "setuptools", "wheel"}
"""What the environment itself brought."""


def main() -> None:
    """Fail with a message if the installation is heavy, slow to import or broken."""
    found = sorted({(d.metadata["Name"], d.version) for d in metadata.distributions()})
    installed = [f"{name} {version}" for name, version in found if name.lower() not in TOOLS]
    print(f"{len(installed)} distributions: {', '.join(installed)}")
    assert len(installed) <= MOST_DISTRIBUTIONS, f"{len(installed)} distributions, at most {MOST_DISTRIBUTIONS} allowed"

    code = "import time; t = time.perf_counter(); import minirag; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
    print(f"import minirag: {statistics.median(times):.3f} s")
    assert statistics.median(times) < 0.25

    import minirag

    with tempfile.TemporaryDirectory() as folder, minirag.Workspace.open(folder) as workspace:
        bot = workspace.tenant("acme", create=True).bot("support", create=True)
        bot.add(minirag.DocumentInput(text="A laptop may be returned within thirty days.", key="returns"))
        answer = bot.ask("How long may I return a laptop?")
    print(answer)
    assert [citation.quote for citation in answer.citations] == ["A laptop may be returned within thirty days."]


if __name__ == "__main__":
    main()
