"""What ten times the documents cost: ingests so many in a process of its own and prints seconds and peak memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from tests.benchmarks.measuring import Clock

__all__ = ["measure"]


def measure(size: int, clock: Clock) -> dict[str, float]:
    """Return what ingesting `size` documents with the hashing embedder takes in a new process.

    Returns:
        `seconds`, and `added`: by how many bytes the peak of its memory grew.
    """
    command = [sys.executable, "-m", "tests.benchmarks.growth", str(size), clock.__name__]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(result.stdout)
    return found


def _main(size: int, clock: Clock) -> None:
    import numpy as np

    import minirag
    from tests.benchmarks.corpus import make_texts

    texts = islice(make_texts(np.random.default_rng(7)), size)  # never all in memory: what is measured is the library's
    documents = (minirag.DocumentInput(text=text, key=f"document-{number}") for number, text in enumerate(texts))
    before = _peak()
    with tempfile.TemporaryDirectory() as folder, minirag.Workspace.open(folder, embedder="hashing") as workspace:
        bot = workspace.tenant("measured", create=True).bot("bot", create=True, chunker="whole")
        began = clock()
        report = bot.add(documents, progress=False)
        seconds = clock() - began
        report.raise_for_failures()
        assert bot.documents.count() == size
    print(json.dumps({"seconds": seconds, "added": _peak() - before}))


def _peak() -> int:
    """Return the largest memory this process had, in bytes. On Linux `getrusage` would count the parent's as well."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    _main(int(sys.argv[1]), getattr(time, sys.argv[2]))
