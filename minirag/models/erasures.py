"""Receipts of erasures: what was destroyed, how that was checked, and what is out of reach."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from minirag.models.base import Model, html_table

__all__ = ["CHATS", "ErasureKind", "ErasureReceipt", "ErasureStatus", "HandlingOfChats"]

ErasureKind = Literal["document", "source", "bot", "tenant"]
ErasureStatus = Literal["done", "pending"]
HandlingOfChats = Literal["scrub", "keep"]
CHATS: tuple[HandlingOfChats, ...] = ("scrub", "keep")


class ErasureReceipt(Model):
    """What an erasure destroyed. It names ids and numbers only, since it outlives what it is about.

    Attributes:
        status: `done` if nothing is left to do; `pending` if rows are gone, but bytes of them may still be in a file.
        cause: why it is pending, and what ends that; None when it is done.
        tenant: the tenant's slug, or its id where there is none of this id any more.
        bot_id: the bot's id; None where a whole tenant was erased.
        subjects: ids of what was erased: documents, a source, a bot or a tenant; the first 20 of them.
        counts: how many of each kind of thing went, such as `{"documents": 1, "versions": 3}`; `messages` are those of
            chats that were scrubbed.
        kept_copies: documents of the tenant that hold the same text, or a chunk of it, and so keep it.
        requested_at: when it was asked for, and the rows went.
        verified_at: when bytes were last looked through; None if never.
        verified: whether that look went through the database's own bytes, and found nothing of what was erased but what
            other rows hold.
        traces: how many pieces of texts, vectors and credentials were looked for.
        scanned_files, scanned_bytes: what was read to look for them.
        leftovers: pieces that were found, and that no row holds.
        out_of_reach: where copies may be that no erasure reaches.
    """

    id: str
    kind: ErasureKind
    status: ErasureStatus
    cause: str | None = None
    tenant: str
    bot_id: str | None = None
    subjects: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    kept_copies: int = 0
    requested_at: dt.datetime
    finished_at: dt.datetime | None = None
    verified_at: dt.datetime | None = None
    verified: bool = False
    traces: int = 0
    scanned_files: int = 0
    scanned_bytes: int = 0
    leftovers: int = 0
    out_of_reach: tuple[str, ...] = ()

    def __str__(self) -> str:
        gone = ", ".join(_counted(what, n) for what, n in self.counts.items() if n) or "nothing"
        end = "done" if self.status == "done" else f"pending: {self.cause}"
        looked = ""
        if self.verified_at is not None:
            found = "none found" if self.verified else f"{self.leftovers:,} found"
            looked = (
                f"; {_counted('traces', self.traces)} looked for in {self.scanned_bytes:,} bytes of "
                f"{_counted('files', self.scanned_files)}, {found}"
            )
        copies = f"; {_counted('copies', self.kept_copies)} stay" if self.kept_copies else ""
        whose = f" of {self.tenant}" if self.kind != "tenant" else f" {self.tenant}"
        return f"erased {self.kind}{whose}: {gone}{looked}{copies}; {end}"

    def __repr__(self) -> str:
        return f"ErasureReceipt({self})"

    def _repr_html_(self) -> str:
        rows: list[list[Any]] = [[what, n] for what, n in self.counts.items()]
        rows += [["copies that stay", self.kept_copies], ["asked for", f"{self.requested_at:%Y-%m-%d %H:%M:%S} UTC"]]
        if self.verified_at is not None:
            rows.append(["looked through", f"{self.verified_at:%Y-%m-%d %H:%M:%S} UTC"])
        rows += [["out of reach", place] for place in self.out_of_reach]
        return html_table(["what", "number"], rows, caption=str(self))


_ONE = {"copies": "copy", "usage_rows": "usage row"}


def _counted(what: str, number: int) -> str:
    name = what if number != 1 else _ONE.get(what, what.removesuffix("s"))
    return f"{number:,} {name.replace('_', ' ')}"
