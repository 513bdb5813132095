"""A process that changes good inputs at random and gives them to one target, within bounds of time and memory.

`python -m tests.fuzz.worker TARGET SECONDS SEED FOLDER` prints how many inputs it tried. An input that makes the target raise
anything but an error of ours, take longer than ten seconds, or need more memory than is allowed stays in FOLDER as `TARGET-SEED`.
With Atheris installed, `--guided` lets it choose inputs by the code they reach.
"""

from __future__ import annotations

import faulthandler
import io
import random
import resource
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from minirag.errors import MiniRAGError
from tests.fuzz.targets import TARGETS

SLOWEST = 10.0
"""Seconds that one input may take."""
MEMORY = 1_000_000_000
"""Bytes of memory that may come on top of what the process has before the first input."""
TOKENS = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"<", b">", b"&lt;", b"&#x110000;", b"<![CDATA[", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"]]>",
    b"{", b"}", b"{{{{", b"[[[[", b"\\", b"\\u", b"\\bin99999999 ", b'"', b"'", b"null", b"-1", b"1e999", b"99999999999999999999", b"NaN",
    b"\xed\xa0\x80", b"\xf4\x8f\xbf\xbf", b"obj", b"endobj", b"stream\n", b"/Kids", b"1 0 R", b"=?utf-8?b?", b"?=", b"\n\n", b"\r",
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n", b"$and", b"$not", b"../", b"\xd8\x00\xdc\x00",
)  # fmt: skip


def change(data: bytes, chance: random.Random, seeds: list[bytes]) -> bytes:
    """Return an input changed at one to six places; of an archive mostly one of its parts."""
    if data[:2] == b"PK" and chance.random() < 0.8:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as old:
                parts = {name: old.read(name) for name in old.namelist()}
        except Exception:
            parts = {}
        if parts:
            name = chance.choice(sorted(parts))
            parts[name] = change_bytes(parts[name], chance, [*parts.values()])
            target = io.BytesIO()
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
                for part, content in parts.items():
                    new.writestr(part, content)
            return target.getvalue()
    return change_bytes(data, chance, seeds)


def change_bytes(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Return bytes changed at one to six places."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        place = chance.randint(0, len(changed))
        length = min(int(chance.paretovariate(0.7)), 5_000)
        match chance.randrange(7):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << chance.randrange(8)
            case 1:
                del changed[place : place + length]
            case 2:
                changed[place:place] = changed[place : place + length] * chance.choice((1, 1, 2, 50))
            case 3:
                changed[place:place] = chance.choice(TOKENS) * chance.choice((1, 1, 1, 2, 300))
            case 4:
                changed[place : place + length] = chance.randbytes(length)
            case 5:
                other = chance.choice(others)
                begin = chance.randint(0, len(other))
                changed[place : place + length] = other[begin : begin + length]
            case _:
                del changed[place if chance.random() < 0.2 else len(changed) :]
    return bytes(changed[:2_000_000])


def main(name: str, seconds: float, seed: int, folder: Path, *, guided: bool) -> None:
    """Try inputs for some time."""
    tempfile.tempdir = str(folder)  # workspaces of the targets go with it
    target = TARGETS[name]
    seeds = target.seeds()
    kept = folder / f"{name}-{seed}"
    for good in seeds:
        attempt(name, good, kept)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if sys.platform == "linux":
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    if guided:
        guide(name, seconds, kept, seeds)
        return
    chance, pool, end, count = random.Random(seed), list(seeds), time.monotonic() + seconds, 0
    while time.monotonic() < end or count < 20:
        data = change(chance.choice(pool), chance, seeds)
        attempt(name, data, kept)
        count += 1
        if chance.random() < 0.05:
            # Changes upon changes reach further than one; the pool stays small.
            pool[len(seeds) :] = [*pool[len(seeds) :][-30:], data]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used
    print(f"{count} inputs, {grown / 1e6:.0f} MB")


def attempt(name: str, data: bytes, kept: Path) -> None:
    """Give one input to the target; what is found stays in a file."""
    kept.write_bytes(data)
    faulthandler.dump_traceback_later(SLOWEST, exit=True)
    try:
        TARGETS[name].run(data)
    except MiniRAGError:
        pass
    finally:
        faulthandler.cancel_dump_traceback_later()
    kept.unlink()


def guide(name: str, seconds: float, kept: Path, seeds: list[bytes]) -> None:
    """Let Atheris choose the inputs."""
    import atheris

    corpus = kept.with_name(f"{kept.name}-corpus")
    corpus.mkdir()
    for number, good in enumerate(seeds):
        (corpus / str(number)).write_bytes(good)
    atheris.instrument_all()
    atheris.Setup(
        [name, str(corpus), f"-max_total_time={int(seconds)}", "-rss_limit_mb=0", "-max_len=200000", "-verbosity=0"],
        lambda data: attempt(name, data, kept),
    )
    print("guided inputs", flush=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), guided="--guided" in sys.argv[5:])
