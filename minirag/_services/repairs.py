"""Repairs: what can be derived is derived again, and a second check tells what is left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from minirag._services.core import BotContext, Core
from minirag._services.ingestion import cut_anew
from minirag._services.snapshot_checks import snapshot_faults
from minirag._services.steps import Steps
from minirag._services.verification import Examination, Found, ScopeOf, examine
from minirag.errors import (
    MiniRAGError,
    ReadOnlyWorkspaceError,
    StorageBusyError,
    StorageError,
    WorkspaceStateError,
)
from minirag.interfaces.upkeep import ignore
from minirag.models.verification import Fault, FaultKind, RepairReport

__all__ = ["repair"]

_BEFORE: Final[tuple[FaultKind, ...]] = (
    "pages", "schema", "statistics", "bot", "version_missing", "text", "vector_leftover", "vector_invalid",
    "vector_missing", "chunk_span", "chunk_count", "fields",
)  # fmt: skip
"""What is mended before documents are cut anew, in this order: their text must be known to be whole by then."""
_AFTER: Final[tuple[FaultKind, ...]] = ("counters", "log", "log_replay")
_CUT: Final = frozenset({"vector_invalid", "vector_missing", "chunk_span", "chunk_count"})


def repair(core: Core, scope_of: ScopeOf, *, progress: object) -> Steps[RepairReport]:
    """Mend what can be mended and return what was and what was not; see `Workspace.repair`."""
    core.check()
    if core.storage.read_only:
        raise ReadOnlyWorkspaceError("the workspace was opened with read_only=True; open it for writing to repair it")
    before = yield from examine(core, scope_of, deep=True, models=False, progress=progress)
    notes: list[str] = []
    _mend(core, before.found, _BEFORE, notes)
    yield from _cut(core, before.found, notes)
    _mend(core, before.found, _AFTER, notes)
    _drop_snapshots(core, scope_of, before)
    after = yield from examine(core, scope_of, deep=True, models=False, progress=progress)
    left = {_place(found.fault) for found in after.found}
    return RepairReport(
        repaired=tuple(found.fault for found in before.found if _place(found.fault) not in left),
        remaining=tuple(found.fault for found in after.found),
        skipped=tuple(dict.fromkeys([*notes, *after.report().skipped])),
        seconds=before.report().seconds,
    )


def _mend(core: Core, found: Sequence[Found], kinds: Iterable[FaultKind], notes: list[str]) -> None:
    """Have the storage mend faults, each in a transaction of its own, so that what was mended stays if this is cut short."""
    for kind in kinds:
        for each in found:
            if each.stored is None or each.stored.kind != kind:
                continue
            core.check()
            try:
                core.storage.repair(each.scope, each.stored)
            except StorageBusyError:
                raise
            except StorageError as problem:
                notes.append(f"{each.fault.place}: {kind} could not be repaired: {problem}")


def _cut(core: Core, found: Sequence[Found], notes: list[str]) -> Steps[None]:
    """Cut and embed documents anew that have lost chunks or vectors, where the bot's embedder is at hand."""
    bots: dict[str, BotContext] = {}
    for each in found:
        if each.stored is not None and each.stored.kind in _CUT and each.scope and each.stored.bot_id:
            name = each.stored.bot or ""
            bots[each.stored.bot_id] = BotContext(core, each.scope, each.stored.bot_id, name, upkeep=True)
    for bot in bots.values():
        try:
            yield from cut_anew(bot)
        except (WorkspaceStateError, StorageBusyError):
            raise
        except (MiniRAGError, ValueError) as problem:
            notes.append(
                f"bot {bot.name!r}: documents are marked, but could not be cut and embedded anew: {problem}. "
                "bot.ingest() does it once its embedder works"
            )


def _drop_snapshots(core: Core, scope_of: ScopeOf, before: Examination) -> None:
    """Delete snapshots that are of no use, those too that the repair of a log has left behind."""
    scopes = {tenant.id: scope_of(tenant.id) for tenant in before.tenants}
    damaged = [found.snapshot for found in before.found if found.snapshot is not None]
    for fault in [*damaged, *snapshot_faults(core, scopes, deep=False, tell=ignore)]:
        scope = scopes.get(fault.tenant_id or "")
        if scope is not None and fault.bot_id is not None:
            core.partitions.make_anew(scope.tenant_id, fault.bot_id)
        fault.path.unlink(missing_ok=True)


def _place(fault: Fault) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    """Return what makes two faults the same one: of a snapshot or credential its name too."""
    named = fault.kind in ("snapshot", "snapshot_content", "credential", "schema", "foreign_key")
    return fault.kind, fault.tenant, fault.bot, fault.ids if named else ()
