"""What tests of people and tokens share: a clock that is set by hand, passwords that cost nothing, and refusals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

import minirag
from minirag.errors import AuthenticationError
from minirag.security.passwords import Cost, Passwords

__all__ = ["OWNER", "PASSWORD", "WRONG", "Clock", "open_workspace", "patient", "refused"]

OWNER = "ann@example.com"
PASSWORD = "a long password"
WRONG = "a wrong password"


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += dt.timedelta(seconds=seconds)


def open_workspace(location: Any, clock: Clock | None = None, **settings: Any) -> minirag.Workspace:
    """Return a workspace with a clock of its own and the cheapest hashes."""
    return patient(minirag.Workspace.open(location, embedder="hashing", **settings), clock)


def patient(workspace: minirag.Workspace, clock: Clock | None = None) -> minirag.Workspace:
    """Return a workspace, its clock and the cost of its hashes replaced."""
    workspace._core.passwords.passwords = Passwords(Cost(passes=1, kibibytes=64, lanes=1))
    if clock is not None:
        workspace._core.clock = clock
    return workspace


def refused(call: Callable[[], Any]) -> str:
    """Return the message of the error that a call must raise."""
    with pytest.raises(AuthenticationError) as problem:
        call()
    return str(problem.value)
