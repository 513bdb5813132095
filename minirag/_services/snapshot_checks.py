"""Checks of the folder of snapshots: each file by itself, against the log, and against what the database holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from minirag._services.core import Core
from minirag._services.indexing import KEYWORD, StaleViewError
from minirag._services.snapshots import SnapshotEntry, SnapshotHeader
from minirag.errors import MiniRAGError, StorageBusyError, WorkspaceStateError
from minirag.interfaces import KeywordPartition, TenantScope, VectorPartition
from minirag.interfaces.snapshots import SnapshotDamagedError
from minirag.interfaces.storage import Reader
from minirag.interfaces.upkeep import Tell
from minirag.models.tenants import BotRecord

__all__ = ["SnapshotFault", "snapshot_faults"]

_TOLERANCE: Final = 1e-6
_SAMPLED_WORDS: Final = 50
_DEPTH: Final = 3
"""A snapshot lies at `<tenant id>/<bot id>/<name>`."""


@dataclass(frozen=True, slots=True)
class SnapshotFault:
    """What is wrong with one file. Whatever it is, the file can be deleted."""

    kind: Literal["snapshot", "snapshot_content"]
    path: Path
    what: str
    tenant_id: str | None = None
    bot_id: str | None = None
    bot: str | None = None


def snapshot_faults(
    core: Core, scopes: Mapping[str, TenantScope], *, deep: bool, tell: Tell
) -> Iterator[SnapshotFault]:
    """Yield what is wrong with snapshots; with `deep`, each is read whole and compared with the database."""
    folder = core.partitions.snapshots
    if folder is None:
        return
    for entry in folder.entries():
        core.check()
        tell("snapshots", 1)
        owner = _owner(core, scopes, entry.path.relative_to(folder.folder).parts)
        header, scope = entry.header, scopes.get(owner[0] or "")
        problem = folder.verify(entry, deep=deep)
        if problem is None and header is not None and scope is None:
            problem = "it belongs to no tenant of this workspace"
        if problem is not None:
            yield SnapshotFault("snapshot", entry.path, problem, *owner)
        elif header is not None and scope is not None:
            yield from _against_database(core, scope, entry, header, deep=deep)


def _owner(
    core: Core, scopes: Mapping[str, TenantScope], parts: tuple[str, ...]
) -> tuple[str | None, str | None, str | None]:
    """Return tenant id, bot id and the bot's name, as far as a file's place tells them."""
    if len(parts) != _DEPTH:
        return None, None, None
    tenant_id, bot_id, _ = parts
    if tenant_id not in scopes:
        return tenant_id, bot_id, None
    try:
        with core.storage.read(scopes[tenant_id]) as reader:
            record = reader.bot_by_id(bot_id)
    except (StorageBusyError, WorkspaceStateError):
        raise
    except (MiniRAGError, ValueError):
        record = None
    return tenant_id, bot_id, None if record is None else record.profile.name


def _against_database(
    core: Core, scope: TenantScope, entry: SnapshotEntry, header: SnapshotHeader, *, deep: bool
) -> Iterator[SnapshotFault]:
    try:
        with core.storage.read(scope) as reader:
            record = reader.bot_by_id(header.bot_id)
            what = _off_the_log(reader, record, header)
            kind: Literal["snapshot", "snapshot_content"] = "snapshot"
            if what is None and deep and record is not None:
                what, kind = _differs(core, scope, reader, record, header), "snapshot_content"
    except (StorageBusyError, WorkspaceStateError):
        raise
    except (MiniRAGError, ValueError):
        return  # the bot's own rows cannot be read, which is a fault of theirs
    if what is not None and entry.path.exists():
        name = None if record is None else record.profile.name
        yield SnapshotFault(kind, entry.path, what, header.tenant_id, header.bot_id, name)


def _off_the_log(reader: Reader, record: BotRecord | None, header: SnapshotHeader) -> str | None:
    if record is None:
        return "it belongs to no bot any more"
    if header.name not in (KEYWORD, record.space.fingerprint):
        return "it is of an embedding space that the bot has left"
    nonce = reader.nonce_at(record.id, header.sequence)
    if nonce is None:
        return f"it stands at {header.sequence}, where the bot's log has no row"
    return None if nonce == header.nonce else "it stands on another log than the bot's"


def _differs(core: Core, scope: TenantScope, reader: Reader, record: BotRecord, header: SnapshotHeader) -> str | None:
    """Return how the index that begins with the snapshot differs from what the database holds."""
    partitions = core.partitions.fresh()
    position = reader.position(record.id)
    try:
        if header.name == KEYWORD:
            held = partitions.keyword(reader, scope, record, position=position)
            return _postings_differ(held, core.keyword_index.partition(scope, record.id), reader, record)
        return _vectors_differ(partitions.dense(reader, scope, record, position=position), reader, record)
    except SnapshotDamagedError as problem:
        return str(problem)
    except StaleViewError:
        return None  # another process has written it anew since


def _vectors_differ(partition: VectorPartition, reader: Reader, record: BotRecord) -> str | None:
    """Compare all vectors by their projection on one random direction."""
    direction = np.random.default_rng(0).standard_normal(record.space.dimension)
    query = (direction / np.linalg.norm(direction)).astype(np.float32)
    count = 0
    for keys, vectors in reader.vectors(record.id):
        count += len(keys)
        expected = np.einsum("ij,j->i", vectors, query, dtype=np.float64)
        scores = partition.scores(query, keys)
        if not np.allclose(scores, expected, rtol=0.0, atol=_TOLERANCE):
            missing = int(np.isnan(scores).sum())
            return f"{missing:,} vectors are missing" if missing else "its vectors are not those of the database"
    return None if len(partition) == count else f"it holds {len(partition):,} vectors where the database has {count:,}"


def _postings_differ(held: KeywordPartition, single: KeywordPartition, reader: Reader, record: BotRecord) -> str | None:
    """Compare which chunks it holds, and of one in each batch whether its own words find it; `single` is empty."""
    count = 0
    for texts in reader.index_texts(record.id):
        keys = np.array([text.key for text in texts], np.int64)
        count += len(keys)
        missing = int(np.isnan(held.scores("a", keys)).sum())
        if missing:
            return f"{missing:,} chunks are missing"
        sample = texts[len(texts) // 2]
        words, key = " ".join(sample.text.split()[:_SAMPLED_WORDS]), np.array([sample.key], np.int64)
        single.apply(key, [sample])
        # Some chunks hold no word at all.
        if len(single.search(words, 1)[0]) and not len(held.search(words, 1, allowed=key)[0]):
            return "its postings are not those of the database"
        single.clear()
    return None if len(held) == count else f"it holds {len(held):,} chunks where the database has {count:,}"
