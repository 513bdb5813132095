"""The command line as a process of its own: pipes, interrupts, terminals."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import minirag

pty = pytest.importorskip("pty", reason="pseudo-terminals are not known to this system")

Cli = Any

PROGRAM = [sys.executable, "-W", "error", "-m", "minirag"]
PATIENCE = 60
SLOW = """
import time
from minirag.cli import main
from minirag.providers.local.hashing import Hashing

embed = Hashing.embed

def slowly(self, texts, *, purpose):
    time.sleep(0.1)
    return embed(self, texts, purpose=purpose)

Hashing.embed, Hashing.batch_size = slowly, 1
raise SystemExit(main())
"""
"""A program that makes the `hashing` embedder slow, one text at a time, and then is `minirag`."""


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """Let children be interrupted, also where the tests themselves run in the background and ignore it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(arguments: Sequence[str], *, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program to its end with pipes."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=PATIENCE,
        check=False,
    )


class Terminal:
    """A process whose input, output and errors are one pseudo-terminal."""

    def __init__(self, arguments: Sequence[str], *, columns: int = 60) -> None:
        import fcntl
        import struct
        import termios

        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**environment, "TERM": "dumb"},
        )
        os.close(theirs)
        self.shown = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def wait_for(self, pattern: str) -> None:
        """Read until something matches in what was shown since the last call."""
        began, seen = time.monotonic(), len(self.shown)
        while not re.search(pattern, self.shown[seen:]):
            assert self._read(), f"ended without {pattern!r}: {self.shown!r}"
            assert time.monotonic() - began < PATIENCE, f"never showed {pattern!r}: {self.shown!r}"

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End the process, if it has not ended, and let the terminal go."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE)
        assert ready, f"nothing more came: {self.shown!r}"
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # what Linux says when the other side is closed
            return False
        self.shown += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


@contextlib.contextmanager
def terminal(arguments: Sequence[str], **options: Any) -> Iterator[Terminal]:
    """Give a process in a terminal; it has ended afterwards."""
    opened = Terminal(arguments, **options)
    try:
        yield opened
    finally:
        opened.close()


def slow_add(folder: Path, *, files: int) -> list[str]:
    """Write so many files and return the call that adds them, a tenth of a second each."""
    (folder / "many").mkdir()
    for number in range(files):
        (folder / f"many/{number:03}.txt").write_text(f"Document number {number} is about badgers.")
    return [sys.executable, "-c", SLOW, "add", "many"]


def test_python_m_minirag() -> None:
    """It is the program, and says so in its errors."""
    assert run(["--version"]).stdout.decode() == f"minirag {minirag.__version__}\n"
    missing = run(["tenants"])
    assert missing.returncode == 2
    assert missing.stderr.startswith(b"usage: minirag tenants ")


def test_the_installed_script() -> None:
    """`minirag` is the same as `python -m minirag`."""
    script = Path(sys.executable).with_name("minirag")
    if not script.exists():
        pytest.skip("the package is not installed beside this interpreter")
    found = subprocess.run([script, "--version"], capture_output=True, timeout=PATIENCE, check=True)
    assert found.stdout.decode() == f"minirag {minirag.__version__}\n"


def test_help_loads_no_engine() -> None:
    """--help and --version answer at once: none of the heavy libraries is imported for them."""
    code = (
        "import sys; from minirag.cli import main; main(['add', '--help']);"
        "print(sorted({'numpy', 'pydantic', 'sqlalchemy', 'faiss', 'httpx', 'onnxruntime'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PATIENCE, check=True)
    assert found.stdout.decode().splitlines()[-1] == "[]"


def test_a_reader_that_has_had_enough(cli: Cli, place: Path) -> None:
    """`minirag search ... | head -1` ends in silence, however much there would be to say."""
    (place / "long.txt").write_text("\n\n".join(f"Badger number {n}. " + "word " * 150 for n in range(300)))
    assert cli("add", "long.txt").code == 0
    with subprocess.Popen(
        [*PROGRAM, "search", "badger", "-k", "300", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"[\n"
        process.stdout.close()
        process.stdout = None
        assert (process.communicate(timeout=PATIENCE)[1], process.returncode) == (b"", 1)


def test_a_reader_that_is_gone_at_once(place: Path) -> None:
    """The little that a command prints is flushed at its end; nobody being there for it is no noise either."""
    with subprocess.Popen([*PROGRAM, "tenants", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert (process.communicate(timeout=PATIENCE)[1], process.returncode) == (b"", 1)


def test_an_interrupted_add_keeps_what_was_committed(cli: Cli, place: Path) -> None:
    """SIGINT ends it with 130 and one line, and adding again takes in the rest."""
    command = slow_add(place, files=40)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        began = time.monotonic()
        with minirag.Workspace.open("kb") as workspace:
            bot = workspace.tenant("acme").bot("support")
            while bot.documents.count() < 3 + 5:
                assert time.monotonic() - began < PATIENCE
                time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (130, b"")
    assert err == b"minirag: interrupted; what was committed stays\n"
    with minirag.Workspace.open("kb") as workspace:
        bot = workspace.tenant("acme").bot("support")
        kept = bot.documents.count() - 3
        assert 5 <= kept < 40
        assert len(bot.search("badgers", mode="keyword", k=100)) == kept
    report = cli("add", "many", "--json").json
    assert (report["counts"]["unchanged"], report["counts"]["added"]) == (kept, 40 - kept)


def test_a_bar_is_drawn_in_a_terminal(place: Path) -> None:
    """The bar moves on one line, and the summary follows on the next."""
    with terminal(slow_add(place, files=14)) as shown:
        assert shown.end() == 0
        assert "\r\x1b[K" in shown.shown
        assert re.search(r"\n14 added; 14 chunks, \d+\.\d s\n$", shown.shown)


def test_no_bar_where_none_is_wanted(place: Path) -> None:
    """Piped or quiet, there is none."""
    command = slow_add(place, files=8)
    piped = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    assert b"\r" not in piped.stdout + piped.stderr
    for name in range(8):
        (place / f"many/{name:03}.txt").write_text(f"Changed {name}.")
    with terminal([*command, "--quiet"]) as shown:
        assert shown.end() == 0
        assert "\x1b[K" not in shown.shown


def test_an_interrupt_at_the_keyboard(place: Path) -> None:
    """Ctrl-C leaves the bar on its line and says what happened on the next."""
    with terminal(slow_add(place, files=60)) as shown:
        shown.wait_for("documents, ")
        shown.type("\x03")
        assert shown.end() == 130, shown.shown
        assert shown.shown.endswith("\nminirag: interrupted; what was committed stays\n")


def test_a_conversation_at_a_terminal(place: Path) -> None:
    """A prompt, an answer with its quotes wrapped at the terminal's width, and an end at an empty line."""
    with terminal([*PROGRAM, "chat"], columns=40) as shown:
        shown.wait_for("an empty line or Ctrl-D ends it\n(.|\n)*> ")
        shown.type("May a laptop be returned after delivery?\n")
        shown.wait_for(
            r'\n\[1\] returns\.md\n    "A laptop may be returned within 30\n    days of delivery\."\n(.|\n)*> '
        )
        shown.type("\n")
        assert shown.end() == 0
        assert "Traceback" not in shown.shown


@pytest.mark.parametrize(("key", "code"), [("\x04", 0), ("\x03", 130)])
def test_leaving_a_conversation(key: str, code: int, place: Path) -> None:
    """Ctrl-D is its end, Ctrl-C an interrupt."""
    with terminal([*PROGRAM, "chat"]) as shown:
        shown.wait_for("> ")
        time.sleep(0.2)  # readline takes a moment between showing its prompt and reading
        shown.type(key)
        assert shown.end() == code


def test_a_model_that_fails_does_not_end_a_conversation(cli: Cli, place: Path) -> None:
    """A person can ask again."""
    llm = '{"provider": "openai", "options": {"model": "m", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0}}'
    assert cli("bots", "update", "support", "--llm", llm).code == 0
    with terminal([*PROGRAM, "chat"], columns=200) as shown:
        shown.wait_for("> ")
        shown.type("How long does a repair take?\n")
        shown.wait_for("minirag: (.|\n)*127.0.0.1(.|\n)*> ")
        shown.type("\n")
        assert shown.end() == 0


def test_a_credential_is_not_echoed(place: Path) -> None:
    """What is typed for --credential is not shown by the terminal."""
    with terminal([*PROGRAM, "bots", "update", "support", "--credential", "api_key"]) as shown:
        shown.wait_for("api_key: ")
        shown.type("sk-hidden\n")
        assert shown.end() == 0
        assert "hidden" not in shown.shown
        assert "bot support" in shown.shown


def test_an_encoding_that_lacks_characters(cli: Cli, place: Path) -> None:
    """What cannot be written is escaped; it ends nothing."""
    (place / "text.txt").write_text("Der Dachs frisst Würmer und 黑豹.", encoding="utf-8")
    assert cli("add", "text.txt").code == 0
    for encoding, arguments in (
        ("ascii", ["search", "Dachs", "--json"]),
        ("latin-1", ["ask", "Was frisst der Dachs?"]),
    ):
        found = run(arguments, PYTHONIOENCODING=encoding)
        assert (found.returncode, b"Traceback" in found.stderr) == (0, False)
        assert b"\\u9ed1\\u8c79" in found.stdout


def test_questions_that_are_no_text(place: Path) -> None:
    """Bytes that are not UTF-8 are refused with a message."""
    found = run(["chat"], stdin=b"\xff\xfe\n")
    assert (found.returncode, found.stdout) == (2, b"")
    assert b"surrogate" in found.stderr
