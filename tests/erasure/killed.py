"""The process that is killed while it erases."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from minirag._services import erasure
from tests.erasure.world import KEY, lower_thresholds, open_bot, open_workspace

__all__ = ["KINDS", "erase", "work"]

KINDS = ("document", "source", "bot", "tenant")


def erase(folder: Path, kind: str, connection: Connection | None = None) -> str:
    """Erase one thing of a workspace; return the receipt's status."""
    with open_workspace(folder) as workspace:
        bot = open_bot(workspace)
        bot.search("parcel")
        if connection is not None:
            connection.send("begun")
        if kind == "document":
            receipt = bot.documents.remove(KEY, erase=True)
        elif kind == "source":
            receipt = bot.sources.remove("secrets", erase=True)
        elif kind == "bot":
            receipt = bot.delete(erase=True)
        else:
            receipt = workspace.tenants.delete("acme", erase=True)
        return receipt.status


def work(folder: Path, kind: str, connection: Connection) -> None:
    """Say when it begins, when the rows are gone, and when it is done; wait to be killed."""
    patch = pytest.MonkeyPatch()
    lower_thresholds(patch.setattr)
    finish = erasure.finish

    def told(*arguments: Any) -> Any:
        connection.send("committed")
        return finish(*arguments)

    patch.setattr(erasure, "finish", told)
    connection.send(erase(folder, kind, connection))
    time.sleep(600)
