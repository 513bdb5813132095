"""The process that is killed. It says what it is about to do before each step, and acknowledges after it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.crash.operations import Operation, lower_thresholds, open_bot, open_workspace, perform

__all__ = ["work"]


def work(folder: Path, operations: Sequence[Operation], connection: Connection) -> None:
    """Open the workspace (step 0), carry out the operations (from step 1 on), close it, and wait to be killed.

    Messages are `("begun", step, ())`, `("committed", step, keys)` and `("done", step, ())`. A message is one write to a
    pipe, so it outlives this process, and none is sent before what it says is so.
    """

    def tell(what: str, step: int, keys: tuple[str, ...] = ()) -> None:
        connection.send((what, step, keys))

    lower_thresholds(pytest.MonkeyPatch().setattr)
    tell("begun", 0)
    with open_workspace(folder) as workspace:
        bot = open_bot(workspace)
        tell("done", 0)
        for step, operation in enumerate(operations, start=1):
            tell("begun", step)
            perform(bot, operation, folder=folder, committed=partial(tell, "committed", step))
            tell("done", step)
        tell("begun", len(operations) + 1)
    tell("done", len(operations) + 1)
    time.sleep(600)
