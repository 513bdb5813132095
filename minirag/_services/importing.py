"""A tenant out of an archive: checked whole, written in batches under a hidden name, then given its own name.

Names that begin with `HIDDEN` are of imports under way: no slug can, so nothing reaches them and no list shows them. What
a killed import leaves is deleted by the next import of the same archive, or by any import a day later.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from minirag._services.archive_files import ArchiveReader, damaged
from minirag._services.archive_records import (
    KINDS,
    ArchivedBot,
    DocumentLine,
    VersionLine,
    to_document,
    to_source,
    to_version,
)
from minirag._services.audit import record_of_tenant
from minirag._services.core import Core
from minirag._services.exporting import check_passphrase
from minirag._services.new_files import checked_path
from minirag._services.progress import choose_progress
from minirag.errors import (
    ArchiveError,
    ConflictError,
    InvalidInputError,
    MiniRAGError,
    NotFoundError,
    TenantExistsError,
)
from minirag.interfaces import TenantScope
from minirag.interfaces.moving import StoredDocument
from minirag.interfaces.records import VersionRow
from minirag.interfaces.storage import Writer
from minirag.models.chats import ChatRecord, Message
from minirag.models.checks import clipped
from minirag.models.moving import ImportReport, MoveProgress
from minirag.models.tenants import Tenant
from minirag.models.usage import UsageEvent
from minirag.security.passphrase import open_box
from minirag.types import new_id, utc_now

if TYPE_CHECKING:
    from minirag.types import Matrix

__all__ = ["HIDDEN", "import_tenant"]

HIDDEN: Final = "~"
"""What the name of a tenant begins with while it is being imported."""
_ABANDONED: Final = dt.timedelta(days=1)
_CHUNKS: Final = 1_024
_RECORDS: Final = 256
_CHARACTERS: Final = 4_000_000
_LOCAL: Final = ("file", "folder")

Credentials = Mapping[str, Mapping[str, str]]


def import_tenant(
    core: Core,
    scope_of: Callable[[str], TenantScope],
    path: object,
    check_slug: Callable[[object], str],
    *,
    slug: object,
    passphrase: object,
    progress: object,
) -> ImportReport:
    """Write the tenant of an archive into the workspace; see `Tenants.import_`."""
    phrase = check_passphrase(passphrase)
    tell = choose_progress(progress)
    place = checked_path(path)
    wanted = None if slug is None else check_slug(slug)
    core.check()
    if not place.is_file():
        raise InvalidInputError(f"path {clipped(str(place))} is no file; give the path of an archive")
    began = time.perf_counter()
    with closing(ArchiveReader(place)) as archive:
        manifest = archive.manifest
        with damaged("its manifest"):
            manifest.check()
            name = check_slug(manifest.tenant.slug) if wanted is None else wanted
        _refuse_taken(core, name)
        read = 0

        def checked(size: int) -> None:
            nonlocal read
            read += size
            if tell is not None:
                tell(MoveProgress(stage="checking", done=read, total=sum(m.size for m in manifest.members)))

        archive.check(checked)
        credentials = _credentials(archive, phrase)
        now = utc_now()
        hidden = Tenant(
            id=new_id(),
            slug=f"{HIDDEN}{archive.digest[:32]}{HIDDEN}{name}",
            name=manifest.tenant.name,
            created_at=manifest.tenant.created_at,
            updated_at=now,
        )
        _clean(core, scope_of, hidden)
        work = _Import(core, scope_of(hidden.id), archive, credentials, tell)
        with core.storage.directory(write=True) as directory:
            directory.insert_tenant(hidden)
        tenant = hidden.model_copy(update={"slug": name, "updated_at": manifest.tenant.updated_at})
        try:
            with _explained(core, hidden):
                for number, bot in enumerate(manifest.bots):
                    work.bot(f"bots/{number}", bot)
            with _explained(core, hidden), core.storage.directory(write=True) as directory:
                directory.update_tenant(tenant)
                record_of_tenant(directory, tenant, "tenant.imported")
        except BaseException:
            with suppress(MiniRAGError):
                _delete(core, scope_of, hidden)
            raise
    counts = {"bots": len(manifest.bots), **{kind: manifest.total(kind) for kind in KINDS}}
    if tell is not None:
        tell(MoveProgress(stage="finished", done=counts["chunks"], total=counts["chunks"]))
    return ImportReport(
        tenant=tenant,
        counts=counts,
        left_out=work.left_out(),
        local_sources=work.local_sources,
        seconds=time.perf_counter() - began,
    )


def _refuse_taken(core: Core, slug: str) -> None:
    with core.storage.directory() as directory:
        if directory.tenant(slug) is not None:
            raise TenantExistsError(f"another tenant has the slug {slug!r}; import it under another one with slug=…")


def _clean(core: Core, scope_of: Callable[[str], TenantScope], hidden: Tenant) -> None:
    """Delete what killed imports have left: those of this archive, and those that nobody can still be at."""
    with core.storage.directory() as directory:
        begun = [tenant for tenant in directory.tenants() if tenant.slug.startswith(HIDDEN)]
    for tenant in begun:
        if tenant.slug == hidden.slug or tenant.updated_at < hidden.updated_at - _ABANDONED:
            _delete(core, scope_of, tenant)


def _delete(core: Core, scope_of: Callable[[str], TenantScope], tenant: Tenant) -> None:
    with core.storage.directory(write=True) as directory:
        directory.delete_tenant(tenant)
    core.partitions.forget(scope_of(tenant.id))


@contextmanager
def _explained(core: Core, hidden: Tenant) -> Iterator[None]:
    """Say what it means that the storage refuses what is written: another import, or records that contradict each other."""
    try:
        yield
    except TenantExistsError:
        raise
    except (ConflictError, NotFoundError) as problem:
        with core.storage.directory() as directory:
            there = directory.tenant(hidden.slug)
        if there is None or there.id != hidden.id:
            raise ConflictError(
                "another import of the same archive under the same name began meanwhile; that one goes on"
            ) from problem
        raise ArchiveError(
            "the archive is damaged: some of its records contradict each other. Nothing was imported"
        ) from problem


def _credentials(archive: ArchiveReader, passphrase: str | None) -> Credentials:
    box = archive.manifest.credentials
    if box is None or passphrase is None:
        return {}
    with damaged("its credentials"):
        opened = open_box(passphrase, box)
        known = {bot.record.id: set(bot.record.profile.credential_fields) for bot in archive.manifest.bots}
        for bot_id, fields in opened.items():
            if not set(fields) <= known[bot_id] or not all(isinstance(value, str) for value in fields.values()):
                raise ValueError("other credentials are sealed than the bots have")
    return opened  # type: ignore[no-any-return]  # just checked


class _Import:
    """One import: the records of each bot, in batches of one transaction each."""

    def __init__(
        self,
        core: Core,
        scope: TenantScope,
        archive: ArchiveReader,
        credentials: Credentials,
        tell: Callable[[Any], None] | None,
    ) -> None:
        self._core = core
        self._scope = scope
        self._archive = archive
        self._credentials = credentials
        self._tell = tell
        self._done = 0
        self.local_sources = 0

    def left_out(self) -> tuple[str, ...]:
        """Return the names of the credentials that the bots had and now have not."""
        return tuple(
            f"{bot.record.profile.name}/{field}"
            for bot in self._archive.manifest.bots
            for field in bot.record.profile.credential_fields
            if field not in self._credentials.get(bot.record.id, {})
        )

    def bot(self, folder: str, bot: ArchivedBot) -> None:
        """Write a bot and everything that belongs to it."""
        given = self._credentials.get(bot.record.id, {})
        profile = bot.record.profile.model_copy(update={"credential_fields": tuple(sorted(given))})
        with self._write() as writer:
            writer.put_bot(bot.record.model_copy(update={"profile": profile}))
            if given:
                self._core.secrets.put(writer, self._scope, bot.record.id, given)
        found = dict.fromkeys(KINDS, 0)
        self._sources(f"{folder}/sources.jsonl", bot, found)
        self._versions(f"{folder}/versions.jsonl", bot, found)
        self._documents(folder, bot, found)
        self._chats(f"{folder}/chats.jsonl", bot, found)
        self._usage(f"{folder}/usage.jsonl", bot, found)
        if found != bot.counts:
            wrong = next(kind for kind in KINDS if found[kind] != bot.counts[kind])
            raise ArchiveError(
                f"the archive is damaged: {folder} holds {found[wrong]:,} {wrong}, but its manifest says "
                f"{bot.counts[wrong]:,}. Nothing was imported"
            )

    @contextmanager
    def _write(self) -> Iterator[Writer]:
        self._core.check()
        with self._core.storage.write(self._scope) as writer:
            yield writer

    def _sources(self, name: str, bot: ArchivedBot, found: dict[str, int]) -> None:
        def sources() -> Iterator[Any]:
            with damaged(name):
                for value in self._archive.lines(name):
                    yield to_source(value, bot.record.id)

        for some in _batches(sources(), _RECORDS):
            with self._write() as writer:
                for source in some:
                    writer.put_source(source)
                    self.local_sources += source.kind in _LOCAL
            found["sources"] += len(some)

    def _versions(self, name: str, bot: ArchivedBot, found: dict[str, int]) -> None:
        def versions() -> Iterator[tuple[VersionRow, str]]:
            with damaged(name):
                lines = self._archive.lines(name)
                for value in lines:
                    line = VersionLine.model_validate(value)
                    pieces: list[str] = []
                    missing = line.characters
                    while missing:
                        piece = next(lines, None)
                        if not isinstance(piece, str) or not 0 < len(piece) <= missing:
                            raise ValueError("a text is not as long as it should be")
                        pieces.append(piece)
                        missing -= len(piece)
                    yield to_version(line, bot.record.id), "".join(pieces)

        for some in _batches(versions(), _RECORDS, most=_CHARACTERS, size=lambda pair: len(pair[1])):
            with self._write() as writer:
                writer.restore_versions(bot.record.id, some)
            found["versions"] += len(some)

    def _documents(self, folder: str, bot: ArchivedBot, found: dict[str, int]) -> None:
        name, vectors_name = f"{folder}/documents.jsonl", f"{folder}/vectors.f32"
        dimension, total = bot.record.space.dimension, self._archive.manifest.total("chunks")

        def documents(vectors: IO[bytes]) -> Iterator[StoredDocument]:
            with damaged(f"{name} or {vectors_name}"):
                for value in self._archive.lines(name):
                    line = DocumentLine.model_validate(value)
                    yield to_document(line, _matrix(vectors, len(line.chunks), dimension))
                if vectors.read(1):
                    raise ValueError("there are more vectors than chunks")

        with self._archive.open(vectors_name) as vectors:
            for some in _batches(
                documents(vectors), _RECORDS, most=_CHUNKS, size=lambda document: len(document.chunks)
            ):
                with self._write() as writer:
                    for document in some:
                        version = writer.version(document.version_id)
                        if version is None or (version.bot_id, version.document_id, version.characters) != (
                            bot.record.id,
                            document.id,
                            document.characters,
                        ):
                            raise ConflictError("a document is not of the version it names")
                    writer.restore_documents(bot.record.id, some, space=bot.fingerprint)
                found["documents"] += len(some)
                found["chunks"] += sum(len(document.chunks) for document in some)
                if self._tell is not None:
                    self._tell(MoveProgress(stage="moving", done=self._done + found["chunks"], total=total))
        self._done += found["chunks"]

    def _chats(self, name: str, bot: ArchivedBot, found: dict[str, int]) -> None:
        def records() -> Iterator[ChatRecord | Message]:
            with damaged(name):
                for value in self._archive.lines(name):
                    ((kind, record),) = value.items()
                    if kind == "chat":
                        yield ChatRecord.model_validate({**record, "bot_id": bot.record.id})
                    elif kind == "message":
                        yield Message.model_validate(record)
                    else:
                        raise ValueError("a record is of another kind")

        chat_id = ""
        for some in _batches(records(), _RECORDS):
            with self._write() as writer:
                for record in some:
                    if isinstance(record, ChatRecord):
                        writer.put_chat(record)
                        chat_id = record.id
                        found["chats"] += 1
                    else:
                        writer.put_message(chat_id, record)
                        found["messages"] += 1

    def _usage(self, name: str, bot: ArchivedBot, found: dict[str, int]) -> None:
        def events() -> Iterator[UsageEvent]:
            with damaged(name):
                for value in self._archive.lines(name):
                    yield UsageEvent.model_validate({**value, "bot_id": bot.record.id})

        for some in _batches(events(), _RECORDS):
            with self._write() as writer:
                for event in some:
                    writer.put_usage(event)
            found["usage"] += len(some)


def _matrix(file: IO[bytes], chunks: int, dimension: int) -> Matrix:
    """Return the vectors of the next chunks."""
    size = 4 * chunks * dimension
    data = file.read(size) if size else b""
    if len(data) != size:
        raise ValueError("there are fewer vectors than chunks")
    matrix = np.frombuffer(data, "<f4").astype(np.float32, copy=False).reshape(chunks, dimension)
    if not np.isfinite(matrix).all():
        raise ValueError("a vector is not finite")
    return matrix


def _batches(
    records: Iterator[Any], number: int, *, most: int = 0, size: Callable[[Any], int] | None = None
) -> Iterator[Sequence[Any]]:
    """Yield the records in lists of so many, or fewer if their sizes add up to `most`."""
    some: list[Any] = []
    room = most
    for record in records:
        some.append(record)
        room -= 0 if size is None else size(record)
        if len(some) >= number or (size is not None and room <= 0):
            yield some
            some, room = [], most
    if some:
        yield some
