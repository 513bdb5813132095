"""Reports of tenants that move between workspaces, and the steps of such a move."""

from __future__ import annotations

from typing import Any, Literal

from minirag.models.base import Model, html_table
from minirag.models.tenants import Tenant

__all__ = ["ExportReport", "ImportReport", "MoveProgress", "PersonalDataReport"]


class MoveProgress(Model):
    """One step of an export or an import, for a progress callback.

    Attributes:
        stage: `checking` while an archive's checksums are compared, `moving` while records are written, `finished`.
        done: chunks dealt with; while checking, bytes.
        total: chunks or bytes there are.
    """

    stage: Literal["checking", "moving", "finished"]
    done: int
    total: int


class ExportReport(Model):
    """What an archive holds.

    Attributes:
        path: the archive.
        size: its size in bytes.
        tenant: whose it is.
        counts: how many of each kind of record, such as `{"bots": 2, "documents": 40}`.
        left_out: names of the credentials that are not in it, such as `"support/api_key"`.
    """

    path: str
    size: int
    tenant: Tenant
    counts: dict[str, int]
    left_out: tuple[str, ...] = ()
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"tenant {self.tenant.slug!r} in {self.path}: {_counted(self.counts)}, {self.size:,} bytes"
            f"{_without(self.left_out)}; {self.seconds:.1f} s"
        )

    def __repr__(self) -> str:
        return f"ExportReport({self})"

    def _repr_html_(self) -> str:
        return html_table(["what", "number"], _rows(self.counts), caption=str(self))


class ImportReport(Model):
    """What came out of an archive.

    Attributes:
        tenant: the tenant as it is here.
        counts: how many of each kind of record, such as `{"bots": 2, "documents": 40}`.
        left_out: names of the credentials that must be given anew, such as `"support/api_key"`.
        local_sources: files and folders of this machine that the bots would read at their next `ingest()`.
    """

    tenant: Tenant
    counts: dict[str, int]
    left_out: tuple[str, ...] = ()
    local_sources: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        local = f", {self.local_sources} of the sources on this machine" if self.local_sources else ""
        return f"tenant {self.tenant.slug!r}: {_counted(self.counts)}{local}{_without(self.left_out)}; {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"ImportReport({self})"

    def _repr_html_(self) -> str:
        return html_table(["what", "number"], _rows(self.counts), caption=str(self))


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what if n != 1 else what.removesuffix('s')}" for what, n in counts.items())


def _without(left_out: tuple[str, ...]) -> str:
    return f", without the credentials {', '.join(left_out)}" if left_out else ""


def _rows(counts: dict[str, int]) -> list[list[Any]]:
    return [[what, number] for what, number in counts.items()]


class PersonalDataReport(Model):
    """What a file of a person's data holds.

    Attributes:
        path: the file.
        size: its size in bytes.
        counts: how many lines of each kind: `user`, `token`, `chat`, `message`, `event`.
    """

    path: str
    size: int
    user_id: str
    counts: dict[str, int]
