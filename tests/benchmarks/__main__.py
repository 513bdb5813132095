"""`python -m tests.benchmarks [--size 10k] [--only NAME] [--cpu] [--json] [--save]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

_RESULTS = Path(__file__).parent / "results"


def _size(text: str) -> int:
    """Return `2000`, `"10k"` or `"1M"` as a number."""
    factors = {"k": 1_000, "M": 1_000_000}
    size = int(text[:-1]) * factors[text[-1]] if text[-1:] in factors else int(text)
    if size < 1_000:
        raise argparse.ArgumentTypeError("at least 1000")
    return size


def _name(size: int) -> str:
    """Return 10000 as `10k`, 1000000 as `1M`."""
    if size % 1_000_000 == 0:
        return f"{size // 1_000_000}M"
    return f"{size // 1_000}k" if size % 1_000 == 0 else str(size)


def main() -> None:
    """Measure and print."""
    # Before NumPy and FAISS are imported, here and in every child process: one thread each, as one search of the library takes.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["PYTHONHASHSEED"] = "0"
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--size", type=_size, default=10_000, help="documents, such as 10000, 100k or 1M (default: 10k)"
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="one measurement; may be repeated")
    parser.add_argument("--cpu", action="store_true", help="processor time, for a machine that others use too")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--save",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="FILE",
        help="keep the figures, by default for the documentation",
    )
    parser.add_argument(
        "--folder", type=Path, help="where databases are made and removed again (default: a temporary folder)"
    )
    chosen = parser.parse_args()

    from tests.benchmarks.measuring import table
    from tests.benchmarks.suite import ORDER, conditions, measure

    known = [work.__name__ for work in ORDER]
    if unknown := [name for name in chosen.only if name not in known]:
        parser.error(f"no measurement {unknown[0]!r}; there are {', '.join(known)}")
    began = time.perf_counter()
    clock = time.process_time if chosen.cpu else time.perf_counter
    found = []
    with tempfile.TemporaryDirectory(prefix="minirag-benchmarks-", dir=chosen.folder) as folder:
        for name, figure in measure(chosen.size, Path(folder), clock, only=chosen.only):
            found.append((name, figure))
            ratio = "" if figure.ratio is None else f", {figure.ratio:.3g} times {figure.raw_is}"
            line = f"{time.perf_counter() - began:6.0f} s  {name}: {figure.name}: {figure.library:,.2f} {figure.unit}{ratio}"
            print(line, file=sys.stderr)
    kept = {"size": chosen.size, "cpu": chosen.cpu, **conditions()}
    kept["figures"] = [{"measurement": name, **figure.record()} for name, figure in found]
    if chosen.save is not None:
        file = chosen.save if chosen.save != Path() else _RESULTS / f"{_name(chosen.size)}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if chosen.json:
        print(json.dumps(kept, indent=1, ensure_ascii=False))
        return
    versions = ", ".join(f"{name} {number}" for name, number in kept["versions"].items())
    print(
        f"{chosen.size:,} documents of one chunk, 384 dimensions; one thread; {'processor' if chosen.cpu else 'elapsed'} time; "
        f"Python {kept['python']}, {versions}; {kept['machine']}, load {kept['load']}; {time.perf_counter() - began:.0f} s"
    )
    print()
    print(table([figure for _, figure in found]))


if __name__ == "__main__":
    main()
