"""What ten times the documents cost: ingests so many in a process of its own and prints seconds and peak memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

__all__ = ["measure"]


def measure(size: int) -> dict[str, float]:
    """Return `seconds`, and the bytes that `added` to the peak of memory, of a new process that ingests `size` documents with the hashing embedder."""
    command = [sys.executable, "-m", "tests.benchmarks.growth", str(size)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(result.stdout)
    return found


def _main(size: int) -> None:
    import minirag
    from tests.benchmarks.corpus import make_corpus

    # The same vocabulary and vectors in memory for every size, so that the difference is the library's.
    texts = make_corpus(size, changed=0, queries=0).texts
    documents = (minirag.DocumentInput(text=text, key=f"document-{number}") for number, text in enumerate(texts))
    before = _peak()
    with tempfile.TemporaryDirectory() as folder, minirag.Workspace.open(folder, embedder="hashing") as workspace:
        bot = workspace.tenant("measured", create=True).bot("bot", create=True, chunker="whole")
        began = time.perf_counter()
        report = bot.add(documents, progress=False)
        seconds = time.perf_counter() - began
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
    _main(int(sys.argv[1]))
