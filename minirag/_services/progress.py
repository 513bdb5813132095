"""The default progress bar: one line in a terminal, one element in a notebook, nothing anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from minirag.errors import InvalidInputError
from minirag.models.checks import clipped
from minirag.models.moving import MoveProgress
from minirag.models.reports import IngestProgress, ReembedProgress
from minirag.models.verification import VerifyProgress

__all__ = ["choose_progress"]

_Step: TypeAlias = IngestProgress | MoveProgress | ReembedProgress | VerifyProgress
_PATIENCE = 0.5
_INTERVAL = 0.1
_WIDTH = 30


def choose_progress(progress: object) -> Callable[[_Step], None] | None:
    """Return the callback to use: the one given, none for False, and for None or True a bar where one can be seen."""
    if progress is False:
        return None
    if progress is None or progress is True:
        if _in_notebook():
            return _Bar(_NotebookLine())
        if sys.stderr is not None and sys.stderr.isatty():
            return _Bar(_TerminalLine())
        return None
    if callable(progress):
        return progress
    raise InvalidInputError(f"progress={clipped(progress)} must be a callable, True, False or None")


def _in_notebook() -> bool:
    # Only a kernel has loaded this module; asking for it must not import IPython.
    shell = sys.modules.get("IPython")
    instance = shell.get_ipython() if shell is not None else None
    return instance is not None and type(instance).__name__ == "ZMQInteractiveShell"


class _Bar:
    """Draws each step, but nothing for what is done at once."""

    def __init__(self, line: _TerminalLine | _NotebookLine) -> None:
        self._line = line
        self._began = time.monotonic()
        self._drawn = 0.0

    def __call__(self, step: _Step) -> None:
        now = time.monotonic()
        if step.stage == "finished":
            if self._drawn:
                self._line.draw(_describe(step, now - self._began))
                self._line.end()
            return
        if now - self._began >= _PATIENCE and now - self._drawn >= _INTERVAL:
            self._line.draw(_describe(step, now - self._began))
            self._drawn = now


def _describe(step: _Step, elapsed: float) -> str:
    if isinstance(step, VerifyProgress):
        return (
            f"checking the {step.stage}, {step.done:,}/{step.total:,} tenants, {step.chunks:,} chunks, {elapsed:.0f} s"
        )
    what = "documents" if isinstance(step, IngestProgress) else "bytes" if step.stage == "checking" else "chunks"
    if step.total:
        filled = min(_WIDTH, round(_WIDTH * step.done / step.total))
        head = f"[{'█' * filled}{'·' * (_WIDTH - filled)}] {step.done:,}/{step.total:,} {what}"
    else:
        head = f"{step.done:,} {what}"
    chunks = f", {step.chunks:,} chunks" if isinstance(step, IngestProgress) else ""
    return f"{head}{chunks}, {elapsed:.0f} s"


class _TerminalLine:
    def draw(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    def end(self) -> None:
        sys.stderr.write("\n")
        sys.stderr.flush()


class _NotebookLine:
    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, text: str) -> None:
        from importlib import import_module

        display: Any = import_module("IPython.display").display
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def end(self) -> None:
        self._handle = None
