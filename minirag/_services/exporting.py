"""A tenant into an archive: read in one view, written beside the target, then renamed into place."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

import numpy as np

from minirag._services.archive_files import ArchiveWriter
from minirag._services.archive_records import (
    KINDS,
    ArchivedBot,
    ArchivedTenant,
    Manifest,
    document_line,
    source_line,
    to_line,
    version_line,
)
from minirag._services.audit import record_of_tenant
from minirag._services.core import Core
from minirag._services.new_files import checked_path, new_file
from minirag._services.progress import choose_progress
from minirag.errors import InvalidInputError, StorageCorruptError, TenantNotFoundError
from minirag.interfaces import TenantScope
from minirag.interfaces.storage import Reader
from minirag.models.checks import check_text
from minirag.models.moving import ExportReport, MoveProgress
from minirag.models.tenants import BotRecord, Tenant
from minirag.security.passphrase import SealedBox, seal_box
from minirag.types import utc_now

__all__ = ["check_passphrase", "export_tenant"]

_PIECE: Final = 65_536
_PAGE: Final = 500
_OF_THE_WORKSPACE: Final = {"bot_id", "reserved_tokens", "reserved_cost"}
"""What a call in the ledger does not take along: budgets stay with the workspace that set them."""


def export_tenant(
    core: Core, scope: TenantScope, tenant: Tenant, path: object, *, passphrase: object, progress: object
) -> ExportReport:
    """Write a tenant into a new file; see `Tenants.export`."""
    phrase = check_passphrase(passphrase)
    tell = choose_progress(progress)
    target = checked_path(path)
    began = time.perf_counter()

    def note() -> None:
        if not core.storage.read_only:
            with core.storage.directory(write=True) as directory:
                record_of_tenant(directory, tenant, "tenant.exported")

    with new_file(target, before=note) as file, closing(ArchiveWriter(file)) as archive:
        manifest = _Export(core, scope, archive, tell).write(tenant, phrase)
    counts = {"bots": len(manifest.bots), **{kind: manifest.total(kind) for kind in KINDS}}
    if tell is not None:
        tell(MoveProgress(stage="finished", done=counts["chunks"], total=counts["chunks"]))
    return ExportReport(
        path=str(target),
        size=target.stat().st_size,
        tenant=tenant,
        counts=counts,
        left_out=manifest.left_out,
        seconds=time.perf_counter() - began,
    )


def check_passphrase(passphrase: object) -> str | None:
    """Return a passphrase, or None; what is wrong with it is said without it."""
    if passphrase is None:
        return None
    if not isinstance(passphrase, str):
        raise InvalidInputError(f"passphrase must be a str, not {type(passphrase).__name__}")
    if not passphrase.strip() or len(passphrase) > 10_000:
        raise InvalidInputError("passphrase must have 1 to 10,000 characters that are not all blank")
    return check_text("passphrase", passphrase)


class _Export:
    """One export: the members of each bot, from one view."""

    def __init__(
        self,
        core: Core,
        scope: TenantScope,
        archive: ArchiveWriter,
        tell: Callable[[Any], None] | None,
    ) -> None:
        self._core = core
        self._scope = scope
        self._archive = archive
        self._tell = tell
        self._total = 0
        self._done = 0

    def write(self, tenant: Tenant, passphrase: str | None) -> Manifest:
        with self._core.storage.read(self._scope) as reader:
            records = reader.bots()
            self._total = sum(reader.stats(record.id).chunks for record in records)
            sealed, left_out = self._credentials(reader, records, passphrase)
            bots = tuple(self._bot(reader, number, record) for number, record in enumerate(records))
        with self._core.storage.directory() as directory:
            if all(other.id != tenant.id for other in directory.tenants()):
                raise TenantNotFoundError(f"tenant {tenant.slug!r} was deleted meanwhile; nothing was exported")
        manifest = Manifest(
            release=import_module("minirag").__version__,
            exported_at=utc_now(),
            tenant=ArchivedTenant(**tenant.model_dump(exclude={"id", "suspended_at", "counts"})),
            bots=bots,
            members=tuple(self._archive.members),
            left_out=left_out,
            credentials=sealed,
        )
        self._archive.finish(manifest)
        return manifest

    def _credentials(
        self, reader: Reader, records: list[BotRecord], passphrase: str | None
    ) -> tuple[SealedBox | None, tuple[str, ...]]:
        """Return the credentials under the passphrase, or the names of those that are left out."""
        fields = {record.id: [secret.field for secret in reader.secrets(record.id)] for record in records}
        if not any(fields.values()):
            return None, ()
        if passphrase is None:
            return None, tuple(f"{record.profile.name}/{field}" for record in records for field in fields[record.id])
        opened = {
            record.id: self._core.secrets.opened(reader, self._scope, record.id)
            for record in records
            if fields[record.id]
        }
        return seal_box(passphrase, opened), ()

    def _bot(self, reader: Reader, number: int, record: BotRecord) -> ArchivedBot:
        counts = dict.fromkeys(KINDS, 0)
        folder = f"bots/{number}"
        with self._archive.member(f"{folder}/sources.jsonl") as write:
            for source in reader.sources(record.id):
                write(source_line(source))
                counts["sources"] += 1
        with self._archive.member(f"{folder}/versions.jsonl") as write:
            for versions in reader.stored_versions(record.id):
                for version in versions:
                    write(version_line(version))
                    for start, end in pairwise([*range(0, version.characters, _PIECE), version.characters]):
                        piece = reader.text(version.id, start, end) or ""
                        if len(piece) != end - start:
                            raise StorageCorruptError(
                                f"a part of the text of version {version.id!r} is missing; run workspace.verify()"
                            )
                        write(to_line(piece))
                    counts["versions"] += 1
        with self._archive.member(f"{folder}/documents.jsonl") as write:
            for documents in reader.stored_documents(record.id):
                for document in documents:
                    write(document_line(document))
                    counts["documents"] += 1
                    counts["chunks"] += len(document.chunks)
        # A member must be finished before the next one: vectors are read a second time, from the same view.
        with self._archive.member(f"{folder}/vectors.f32", packed=False) as write:
            for documents in reader.stored_documents(record.id):
                for document in documents:
                    write(np.ascontiguousarray(document.vectors, "<f4").tobytes())
                    self._step(len(document.chunks))
        with self._archive.member(f"{folder}/chats.jsonl") as write:
            self._chats(reader, record.id, write, counts)
        with self._archive.member(f"{folder}/usage.jsonl") as write:
            before = None
            while events := reader.usage_events(record.id, before=before, limit=_PAGE):
                for event in events:
                    write(to_line(event.model_dump(mode="json", exclude=_OF_THE_WORKSPACE, exclude_none=True)))
                counts["usage"] += len(events)
                before = events[-1].id
        return ArchivedBot(record=record, fingerprint=record.space.fingerprint, counts=counts)

    def _chats(self, reader: Reader, bot_id: str, write: Callable[[bytes], None], counts: dict[str, int]) -> None:
        before = None
        while chats := reader.chats(bot_id, before=before, limit=_PAGE):
            for chat in chats:
                write(to_line({"chat": chat.model_dump(mode="json", exclude={"bot_id", "user_id"})}))
                counts["chats"] += 1
                for message in reader.messages(chat.id):
                    write(to_line({"message": message.model_dump(mode="json")}))
                    counts["messages"] += 1
            before = chats[-1].id

    def _step(self, chunks: int) -> None:
        self._done += chunks
        if self._tell is not None and chunks:
            self._tell(MoveProgress(stage="moving", done=self._done, total=self._total))
