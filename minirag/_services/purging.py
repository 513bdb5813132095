"""The second half of an erasure: indexes forget, bytes are freed and looked for. It can be cut short anywhere and begun again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from minirag._services.core import BotContext, Core
from minirag._services.maintenance import leveled
from minirag.errors import StorageError, VectorIndexError
from minirag.interfaces import TenantScope
from minirag.interfaces.erasing import ErasureRecord, Purge
from minirag.interfaces.snapshots import SnapshotDamagedError
from minirag.interfaces.traces import Traces
from minirag.models.erasures import ErasureReceipt
from minirag.models.tenants import BotRecord
from minirag.types import utc_now

__all__ = ["finish", "shown_receipt"]

_OUT_OF_REACH: Final = (
    "backups and exports that were made before",
    "blocks that the file system has freed, until it uses them again",
    "the memory of other processes, until they search the bot again or end",
    "what was sent to models and other services, or kept by the application",
)


def finish(core: Core, scope: TenantScope, record: ErasureRecord) -> ErasureReceipt:
    """Free what an erasure has deleted, look for it byte by byte, and return the receipt, which is stored.

    It is `pending` where something keeps the bytes for now, and tells what.
    """
    traces = Traces.from_bytes(record.traces)
    index, looked = Purge(None), False
    try:
        # Whoever has a view from before may be feeding vectors from it. What is taken out after all have ended stays out.
        held_up = core.storage.old_reads() if core.partitions.vectors.remote else None
        _forget(core, scope, record)
        if held_up is not None:
            purge = Purge(held_up)
        else:
            index = core.partitions.vectors.purge()
            purge = core.storage.purge(traces, record)
            looked = purge.files > 0
            purge = _with_derived(core, traces, purge)
    except (StorageError, VectorIndexError, SnapshotDamagedError) as problem:
        purge = Purge(f"{problem}; call workspace.erasures.resume() when that is mended")
    purge = replace(purge, cause=index.cause or purge.cause, out_of_reach=(*index.out_of_reach, *purge.out_of_reach))
    if purge.cause is None and purge.leftovers:
        purge = replace(
            purge,
            cause=f"{purge.leftovers:,} pieces of what was erased are still in files; call workspace.erasures.resume()",
        )
    now, done = utc_now(), purge.cause is None
    receipt = record.receipt.model_copy(
        update={
            "status": "done" if done else "pending",
            "cause": purge.cause,
            "finished_at": now if done else None,
            "verified_at": now if purge.files else None,
            "verified": looked and not purge.leftovers,
            "scanned_files": purge.files,
            "scanned_bytes": purge.size,
            "leftovers": purge.leftovers,
            "out_of_reach": (*_OUT_OF_REACH, *purge.out_of_reach),
        }
    )
    record = replace(record, receipt=receipt)
    if done:
        record = replace(record, keys=b"", traces=b"")
    with core.storage.directory(write=True) as directory:
        directory.put_erasure(record)
        slugs = {tenant.id: tenant.slug for tenant in directory.tenants()}
    return shown_receipt(receipt, slugs)


def shown_receipt(receipt: ErasureReceipt, slugs: dict[str, str]) -> ErasureReceipt:
    """Return a stored receipt with its tenant's slug, if there is one."""
    return receipt.model_copy(update={"tenant": slugs.get(receipt.tenant, receipt.tenant)})


def _forget(core: Core, scope: TenantScope, record: ErasureRecord) -> None:
    """Have every index forget: in this process, in snapshots, and where vectors are kept outside of it."""
    partitions, bot_id = core.partitions, record.bot_id
    bot = None
    if bot_id is not None:
        with core.storage.read(scope) as reader:
            bot = reader.bot_by_id(bot_id)
    if bot is None:
        partitions.forget(scope, bot_id)
        core.engines.forget(scope.tenant_id, *(() if bot_id is None else (bot_id,)))
        if partitions.vectors.remote:
            partitions.vectors.drop(scope, bot_id)  # `forget` tells nobody if it failed
    else:
        if partitions.vectors.remote:
            _remove_kept(core, scope, bot, record.keys)
        partitions.make_anew(scope.tenant_id, bot.id)


def _remove_kept(core: Core, scope: TenantScope, bot: BotRecord, keys: bytes) -> None:
    """Bring what is kept outside this process level with the log, and take the keys out once more.

    Another process that was applying an older part of the log may have added them again, be it to a space that the bot has left.
    """
    core.partitions.vectors.drop(scope, bot.id, keep=bot.space.fingerprint)
    context = BotContext(core, scope, bot.id, bot.profile.name, upkeep=True)
    loaded = leveled(context, (scope.tenant_id, bot.id, bot.space.fingerprint))
    gone = np.frombuffer(keys, "<i8").astype(np.int64)
    if loaded is not None and len(gone):
        nothing = np.empty((0, bot.space.dimension), np.float32)
        with loaded.lock:
            loaded.partition.apply(gone, np.empty(0, np.int64), nothing)


def _with_derived(core: Core, traces: Traces, purge: Purge) -> Purge:
    """Look through the files that are derived from the database too."""
    folder = core.partitions.snapshots
    if folder is None or purge.cause is not None:
        return purge
    found, files, size = traces.nothing(), 0, 0
    for path in folder.files():
        size += traces.mark_file(path, found)
        files += 1
    left = traces.only(found)
    leftovers = purge.leftovers + len(left) - len(core.storage.held(left))
    return replace(purge, leftovers=leftovers, files=purge.files + files, size=purge.size + size)
