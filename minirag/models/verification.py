"""What a check of everything stored found, what was mended, and what a backup holds."""

from __future__ import annotations

from typing import Any, Literal, get_args

from minirag.models.base import Model, html_table

__all__ = ["FAULT_KINDS", "BackupReport", "Fault", "FaultKind", "RepairReport", "VerifyProgress", "VerifyReport"]

FaultKind = Literal[
    "pages",
    "foreign_key",
    "schema",
    "page_size",
    "statistics",
    "bot",
    "vector_missing",
    "vector_invalid",
    "vector_leftover",
    "chunk_span",
    "chunk_count",
    "text",
    "version_missing",
    "log",
    "log_replay",
    "counters",
    "fields",
    "credential",
    "snapshot",
    "snapshot_content",
    "model",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


class Fault(Model):
    """One kind of fault in one place: in a bot, a tenant, or the workspace as a whole.

    Attributes:
        tenant: the tenant's slug, or its id where there is no such tenant any more; None for the workspace.
        bot: the bot's name; None for a tenant or the workspace.
        ids: what is concerned, such as documents' ids or chunks' keys: the first 20 of them.
        count: how many are concerned.
        what: what is wrong.
        repairable: whether `repair` can mend it.
        remedy: what `repair` does about it, or what is to be done by hand.
    """

    kind: FaultKind
    tenant: str | None = None
    bot: str | None = None
    ids: tuple[str, ...] = ()
    count: int = 1
    what: str
    repairable: bool
    remedy: str

    @property
    def place(self) -> str:
        """Where it is, such as `acme/support`."""
        return "workspace" if self.tenant is None else f"{self.tenant}/{self.bot}" if self.bot else self.tenant

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class VerifyProgress(Model):
    """One step of a check, for a progress callback.

    Attributes:
        stage: what is being read: the database file, tenants' rows, derived files; `finished` at the end.
        done: tenants that were checked.
        total: tenants there are.
        chunks: chunks that were checked.
    """

    stage: Literal["file", "tenants", "snapshots", "finished"]
    done: int
    total: int
    chunks: int = 0


class VerifyReport(Model):
    """What a check found.

    Attributes:
        faults: the workspace's own first, then tenants by slug.
        checked: how much was read, such as `{"tenants": 2, "chunks": 100}`.
        skipped: what was not checked, and why.
    """

    faults: tuple[Fault, ...] = ()
    checked: dict[str, int] = {}
    skipped: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def __str__(self) -> str:
        read = ", ".join(f"{n:,} {what if n != 1 else what.removesuffix('s')}" for what, n in self.checked.items())
        return f"{_faults(self.faults)} in {read or 'nothing'}; {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"VerifyReport({self})"

    def _repr_html_(self) -> str:
        return html_table(_HEAD, [_row(fault) for fault in self.faults], caption=str(self))


class RepairReport(Model):
    """What a repair mended, and what it could not.

    Attributes:
        repaired: faults that there were, and that a second check did not find any more.
        remaining: faults that the second check found, each with what is to be done.
        skipped: what was not checked, and why.
    """

    repaired: tuple[Fault, ...] = ()
    remaining: tuple[Fault, ...] = ()
    skipped: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.remaining

    def __str__(self) -> str:
        return f"{_faults(self.repaired)} repaired, {_faults(self.remaining)} left; {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"RepairReport({self})"

    def _repr_html_(self) -> str:
        rows = [_row(fault) for fault in (*self.remaining, *self.repaired)]
        return html_table(_HEAD, rows, caption=str(self))


class BackupReport(Model):
    """What a backup holds.

    Attributes:
        path: the folder, which `Workspace.open` opens.
        size: its size in bytes.
        key: whether the master key is in it: `copied`; `left out`, with a key file that must be kept elsewhere, or with a workspace in memory, which alone has it; `given`,
            by the application, which must give it again; `none`, where there is none.
    """

    path: str
    size: int
    key: Literal["copied", "left out", "given", "none"]
    seconds: float = 0.0

    def __str__(self) -> str:
        keys = {
            "copied": "with the master key",
            "left out": "without the master key: keep master.key in another place, credentials cannot be read without it",
            "given": "without the master key, which the application gives",
            "none": "there is no master key",
        }
        return f"{self.size:,} bytes in {self.path}, {keys[self.key]}; {self.seconds:.1f} s"

    def __repr__(self) -> str:
        return f"BackupReport({self})"

    def _repr_html_(self) -> str:
        return html_table(["", ""], [[name, value] for name, value in self.model_dump().items()])


_HEAD = ["where", "kind", "what", "remedy"]


def _row(fault: Fault) -> list[Any]:
    return [fault.place, fault.kind, fault.what, fault.remedy]


def _faults(faults: tuple[Fault, ...]) -> str:
    return f"{len(faults) or 'no'} fault{'s' * (len(faults) != 1)}"
