"""The command line, thin over the library: `minirag add | search | ask | chat | …`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

__all__ = ["main"]

_LONGEST = 1_500


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: it failed, with a message on standard error. 2: it was called wrongly. 3: done, but some documents
    failed. 130: interrupted.
    """
    from minirag.errors import InvalidInputError, MiniRAGError

    _tolerate_any_text()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except InvalidInputError as problem:
        return _fail(problem, 2)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has had enough; the interpreter must not flush into it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MiniRAGError, OSError) as problem:
        return _fail(problem, 1)
    except KeyboardInterrupt:
        # A terminal's cursor stands behind `^C`, or behind a progress bar.
        begin = "\n" if sys.stderr.isatty() else ""
        print(f"{begin}minirag: interrupted; what was committed stays", file=sys.stderr)
        return 130
    return code


def _run(arguments: Sequence[str] | None) -> int:
    from pkgutil import resolve_name

    from minirag.cli.arguments import parse

    try:
        options = parse(arguments)
    except SystemExit as stop:  # argparse has said what is wrong, or was asked for help
        return int(stop.code or 0)
    return int(resolve_name(options.run)(options))


def _fail(problem: Exception, code: int) -> int:
    from minirag.cli.showing import printable

    message = printable(str(problem))
    print(f"minirag: {message if len(message) <= _LONGEST else message[:_LONGEST] + '…'}", file=sys.stderr)
    return code


def _tolerate_any_text() -> None:
    """Let no character that a terminal's or pipe's encoding lacks end a command."""
    streams: tuple[tuple[TextIO, str], ...] = (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    )
    for stream, errors in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with contextlib.suppress(OSError):  # a host that calls this has read from its own input already
                reconfigure(errors=errors)


if __name__ == "__main__":
    sys.exit(main())
