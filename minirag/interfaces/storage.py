"""`Storage`: the one truth. Everything else can be derived from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from minirag.interfaces.access import AccessDirectory, AccessReader
from minirag.interfaces.accounting import AccountingDirectory, AccountingReader, AccountingWriter
from minirag.interfaces.erasing import ErasingDirectory, ErasingReader, ErasingStorage, ErasingWriter
from minirag.interfaces.identity import IdentityDirectory, IdentityReader, IdentityWriter
from minirag.interfaces.keyword_index import IndexText
from minirag.interfaces.moving import MovingReader, MovingWriter
from minirag.interfaces.records import (
    DocumentState,
    HitRow,
    LogPosition,
    LogRow,
    SearchState,
    VersionDraft,
    VersionRow,
)
from minirag.interfaces.scope import TenantScope
from minirag.interfaces.secrets import SecretReader, SecretWriter
from minirag.interfaces.spaces import SpaceReader, SpaceWriter
from minirag.interfaces.upkeep import Upkeep
from minirag.models.chats import ChatRecord, Message
from minirag.models.documents import Document
from minirag.models.filters import Filter
from minirag.models.reports import BotStats
from minirag.models.tenants import BotRecord, Source, Tenant
from minirag.types import MetadataValue

if TYPE_CHECKING:
    from minirag.types import Keys, Matrix

__all__ = ["Directory", "Reader", "Storage", "Writer"]


class Directory(IdentityDirectory, AccessDirectory, ErasingDirectory, AccountingDirectory):
    """Which tenants there are: the only part of a storage without a scope. For the workspace alone."""

    @abstractmethod
    def insert_tenant(self, tenant: Tenant) -> None:
        """Add a tenant. Raises `TenantExistsError` if the slug is taken."""

    @abstractmethod
    def tenant(self, slug: str) -> Tenant | None:
        """Return the tenant of this slug."""

    @abstractmethod
    def tenants(self) -> list[Tenant]:
        """Return every tenant, sorted by slug."""

    @abstractmethod
    def update_tenant(self, tenant: Tenant) -> None:
        """Write a tenant's slug and name. Raises `TenantExistsError` if the slug is taken."""

    @abstractmethod
    def delete_tenant(self, tenant: Tenant) -> None:
        """Delete a tenant and every row that belongs to it."""

    @abstractmethod
    def setting(self, name: str) -> str | None:
        """Return a setting of the workspace, such as `"master_key_id"`."""

    @abstractmethod
    def put_setting(self, name: str, value: str) -> None:
        """Write a setting of the workspace."""

    @abstractmethod
    def has_secrets(self) -> bool:
        """Return whether any tenant has a data key, that is whether anything was ever encrypted."""


class Reader(SpaceReader, MovingReader, SecretReader, AccountingReader, IdentityReader, AccessReader, ErasingReader):
    """One consistent view of one tenant. Everything takes part in one read transaction."""

    # ---------------------------------------------------------------- bots, sources, chats, secrets
    @abstractmethod
    def bot(self, name: str) -> BotRecord | None:
        """Return the bot of this name."""

    @abstractmethod
    def bot_by_id(self, bot_id: str) -> BotRecord | None:
        """Return the bot of this id."""

    @abstractmethod
    def bots(self) -> list[BotRecord]:
        """Return all bots, sorted by name."""

    @abstractmethod
    def sources(self, bot_id: str) -> list[Source]:
        """Return the bot's sources, oldest first."""

    @abstractmethod
    def source(self, bot_id: str, source_id: str) -> Source | None:
        """Return the source of this id."""

    @abstractmethod
    def source_at(self, bot_id: str, kind: str, locator: str) -> Source | None:
        """Return the source of this kind and locator."""

    @abstractmethod
    def chats(
        self, bot_id: str, *, user_id: str | None = None, before: str | None = None, limit: int = 100
    ) -> list[ChatRecord]:
        """Return chats, newest first, of everybody or of one person, those with an id below `before`."""

    @abstractmethod
    def chat(self, bot_id: str, chat_id: str) -> ChatRecord | None:
        """Return the chat of this id."""

    @abstractmethod
    def messages(self, chat_id: str, *, last: int | None = None) -> list[Message]:
        """Return the chat's messages in order; with `last`, only so many of the newest. Citations are unbound."""

    # ---------------------------------------------------------------- documents
    @abstractmethod
    def documents(
        self,
        bot_id: str,
        *,
        source_id: str | None = None,
        where: Filter | None = None,
        after: str | None = None,
        limit: int = 500,
    ) -> list[Document]:
        """Return documents by ascending id, those with an id above `after`."""

    @abstractmethod
    def documents_with_key(self, bot_id: str, key: str, *, source_id: str | None = None) -> list[Document]:
        """Return every document of this key, sorted by source name."""

    @abstractmethod
    def count_documents(self, bot_id: str, *, source_id: str | None = None, where: Filter | None = None) -> int:
        """Return how many documents there are."""

    @abstractmethod
    def states(
        self,
        source_id: str,
        keys: Collection[str] | None = None,
        *,
        after: str | None = None,
        stale: bool | None = None,
        limit: int = 1_000,
    ) -> list[DocumentState]:
        """Return states of a source's documents by ascending key: those in `keys`, or those with a key above `after`."""

    @abstractmethod
    def version(self, version_id: str) -> VersionRow | None:
        """Return a version, current or old."""

    @abstractmethod
    def versions(self, document_id: str) -> list[VersionRow]:
        """Return a document's versions, newest first."""

    @abstractmethod
    def text(self, version_id: str, start: int = 0, end: int | None = None) -> str | None:
        """Return code points `start` to `end` of a version's canonical text, clipped to it; None if there is no version.

        Only the blocks that hold the range are read.
        """

    @abstractmethod
    def vectors_by_hash(self, space: str, hashes: Collection[bytes]) -> dict[bytes, Matrix]:
        """Return a vector, shape `(dimension,)`, for each content hash the tenant has embedded in this space."""

    @abstractmethod
    def stats(self, bot_id: str) -> BotStats:
        """Return how large the bot is. Only `space` and `dimension` are taken from its record."""

    @abstractmethod
    def familiarity(self, bot_id: str) -> tuple[int, float]:
        """Return the sums of `words` and `known_words` over the bot's current versions."""

    # ---------------------------------------------------------------- the change log and what indexes are fed with
    @abstractmethod
    def position(self, bot_id: str) -> LogPosition:
        """Return the last position of the bot's log."""

    @abstractmethod
    def nonce_at(self, bot_id: str, sequence: int) -> int | None:
        """Return the nonce of the log row at `sequence`; None if there is none, 0 for sequence 0."""

    @abstractmethod
    def log(self, bot_id: str, *, after: int, limit: int = 1_000) -> list[LogRow]:
        """Return log rows above sequence `after`, in order."""

    @abstractmethod
    def vectors(self, bot_id: str, keys: Keys | None = None, *, batch: int = 4_096) -> Iterator[tuple[Keys, Matrix]]:
        """Yield keys and vectors of the bot's present chunks, all or those in `keys`; absent keys are left out."""

    @abstractmethod
    def index_texts(self, bot_id: str, keys: Keys | None = None, *, batch: int = 1_024) -> Iterator[list[IndexText]]:
        """Yield the bot's present chunks for the keyword index, all or those in `keys`; absent keys are left out."""

    # ---------------------------------------------------------------- search
    def search_state(self, bot_id: str) -> SearchState | None:
        """Return what `bot_by_id`, `position`, `familiarity` and `suspended` say of a bot, or None if there is none.

        Every search begins with it. A storage that can answer it with one query should. The record is not passed on to
        applications, so a storage may give the same one again.
        """
        record = self.bot_by_id(bot_id)
        if record is None:
            return None
        words, known_words = self.familiarity(bot_id)
        return SearchState(record, self.position(bot_id), words, known_words, self.suspended())

    @abstractmethod
    def allowed(self, bot_id: str, where: Filter) -> Keys:
        """Return the keys of the bot's chunks that a filter allows, sorted."""

    def allowed_if_few(self, bot_id: str, where: Filter, *, limit: int) -> Keys | None:
        """Return what `allowed` returns if that is quickly known to be at most `limit` keys, else None.

        None says nothing of how many there are. A storage with an index over the bot's `filterable` fields should use it.
        """
        del bot_id, where, limit
        return None

    @abstractmethod
    def matching(self, bot_id: str, where: Filter, keys: Keys) -> dict[int, bool]:
        """Return, for each of the keys, whether a filter allows it. What is no chunk of this bot any more is not allowed.

        Keys that are newer than this view are left out, so that one who got them from an index knows that it is ahead.
        """

    @abstractmethod
    def order(self, bot_id: str, keys: Keys) -> dict[int, tuple[str, str, int]]:
        """Return source name, document key and start of each present key: how ties are broken."""

    @abstractmethod
    def hydrate(self, bot_id: str, keys: Keys) -> dict[int, HitRow]:
        """Return the rows of those keys that are chunks of this bot now."""


class Writer(Reader, SpaceWriter, MovingWriter, SecretWriter, AccountingWriter, IdentityWriter, ErasingWriter):
    """One write transaction of one tenant: all of it happens, or none."""

    @abstractmethod
    def put_bot(self, bot: BotRecord) -> None:
        """Insert or update a bot. Another bot of the same name is a `ConflictError`."""

    @abstractmethod
    def delete_bot(self, bot_id: str) -> None:
        """Delete a bot and everything that belongs to it."""

    @abstractmethod
    def put_source(self, source: Source) -> None:
        """Insert or update a source. Another one of the same kind and locator is a `ConflictError`."""

    @abstractmethod
    def delete_source(self, bot_id: str, source_id: str) -> int:
        """Delete a source; its documents go as `remove_documents` says. Returns how many went."""

    @abstractmethod
    def put_chat(self, chat: ChatRecord) -> None:
        """Insert or update a chat."""

    @abstractmethod
    def delete_chat(self, bot_id: str, chat_id: str) -> bool:
        """Delete a chat and its messages; False if there is none."""

    @abstractmethod
    def put_message(self, chat_id: str, message: Message) -> None:
        """Append a message, or replace the one of the same id."""

    @abstractmethod
    def write_versions(
        self, bot_id: str, drafts: Sequence[VersionDraft], *, space: str, keep_versions: int | None
    ) -> list[str | None]:
        """Write documents, versions, texts, chunks, vectors and one log row a draft, in the drafts' order.

        An old version loses its chunks and vectors. With `keep_versions`, only so many old versions of each document
        keep their text.

        Returns:
            for each draft its version's id, or None if the document's current version is not `draft.replaces` any
            more (for a new document: if it exists by now); then nothing was written of that draft.
        """

    def write_version(self, bot_id: str, draft: VersionDraft, *, space: str, keep_versions: int | None) -> str | None:
        """Write one version; see `write_versions`."""
        return self.write_versions(bot_id, [draft], space=space, keep_versions=keep_versions)[0]

    @abstractmethod
    def update_document(
        self, document_id: str, *, title: str | None, metadata: Mapping[str, MetadataValue], raw_hash: bytes | None
    ) -> None:
        """Write title, metadata and raw hash of a document that was found to be cut as its bot cuts now.

        It is not stale any more. A changed title is logged, so that it is indexed anew.
        """

    @abstractmethod
    def remove_documents(self, bot_id: str, document_ids: Sequence[str]) -> int:
        """End search of documents at once: chunks, vectors and document rows go, one log row a document is written.

        Their versions and texts stay as evidence. Returns how many there were.
        """

    @abstractmethod
    def mark_stale(self, bot_id: str, *, recut: bool = False) -> int:
        """Mark every document of the bot to be cut anew; returns how many.

        With `recut`, `version_hash` is emptied, so that a document is cut anew even where text and settings are the same.
        """


class Storage(Upkeep, ErasingStorage):
    """Keeps everything of all tenants. Its clauses, each held by `minirag.testing.StorageConformance`:

    S1. A `read` block sees one state, whatever others write meanwhile.
    S2. A `write` block that ends in an exception has changed nothing.
    S3. When a `write` block has ended, its changes survive the death of the process.
    S4. A scope sees its own tenant's rows and no others: by id, by name, by listing, by search.
    S5. Another tenant's id gives what a missing id gives.
    S6. Sequences of a bot's log are gapless, start at 1 and are in commit order; nonces are random and never 0.
    S7. Chunk keys are positive 63-bit integers, never used twice.
    S8. `text(version, a, b)` equals `text(version)[a:b]` for any Unicode.
    S9. `write_versions` replaces only the version it was planned against.
    S10. A version keeps its text after its document was updated or removed.
    S11. `vectors` and `index_texts` yield exactly the chunks of current versions.
    S12. `where` filters mean what `minirag.models.filters.matches` says.
    S13. `order` and `hydrate` leave out keys that are not chunks of this bot now; `matching` allows none of them.
    S14. Reads and writes may come from several threads, and several processes where the backend allows it.
    S15. After `close`, every call raises `WorkspaceClosedError`.
    S16. With `read_only`, `write` and a writing `directory` raise `ReadOnlyWorkspaceError`.
    S17. `verify` finds no fault in what the writers wrote, and yields the same faults for a scope whatever others hold.
    S18. `repair` of a fault that is not there changes nothing that can be read.
    S19. `backup` copies one state, complete, while others write.
    S20. Vectors of several spaces lie side by side: reads know only the bot's space, unless another one is named.
    S21. A chunk without a vector in a space is found by `lacking_vectors` until `put_embeddings` has given it one.
    S22. A bot put with another space is read in that one from then on; `drop_embeddings` takes vectors of others only.
    S23. `put_familiarity` replaces what `familiarity` adds up, and a document that goes takes its own share with it.
    S24. `search_state` says what `bot_by_id`, `position`, `familiarity` and `suspended` say in the same view.
    S25. What `MovingReader` yields of a bot, `MovingWriter` writes into another tenant, so that it reads the same there.
    S26. `put_user` keeps one person an e-mail address and tenant, the same address may be in several tenants.
    S27. A person who goes takes their tokens along, a bot those that open it alone.
    S28. `token_grant` finds a token by its whole hash, whichever tenant's it is, with the tenant and the person's role as they are.
    S29. `standing` tells what is stored at that moment: role, scope, bot, expiry, revocation; None if person or token is gone.
    S30. `revoke_tokens` and `use_tokens` write only the tokens they name, never an earlier time of use, nor a second revocation.
    S31. `delete_ended_sessions` deletes sessions that ended before, and no token that was made for a program.
    S32. `insert_first_user` is a part of its directory transaction: with the tenant, or not at all.
    S33. `erase_versions` deletes the bot's versions and their texts, and puts every index of the bot behind its log.
    S34. `vectors_of_documents` yields vectors of every space, `messages_of_bot` every message, of this tenant's alone.
    S35. `documents_holding` and `versions_of_length` find what other documents of the tenant share with one.
    S36. An erasure is kept with the transaction that erases, or not at all, and outlives its bot and tenant.
    S37. When `purge` names no cause, no file of the storage holds a trace of what was deleted, unless a row does.
    S38. `held` gives those traces that rows hold, whichever tenant's, and no others.
    S39. `audit_events` yields what `put_audit_events` wrote, newest first, all of it or what an actor, action or subject picks.
    S40. `limits` is what `put_limits` wrote last, `held` what all the tenant's bots hold.
    S41. `spent` adds up the tenant's ledger since a day: a reservation counts while its call is open and was begun lately.
    S42. A closed tenant is told by `suspended`, `search_state` and the directory alike, of that tenant alone.
    S43. `chats` of a person are that person's alone; a chat never changes hands.
    S44. `tenant_counts` gives what each tenant holds.
    S45. `old_reads` is None only where every view of before has ended, or its `check_open` raises.
    """

    @property
    @abstractmethod
    def workspace_id(self) -> str:
        """A random id, made with the database."""

    @property
    @abstractmethod
    def read_only(self) -> bool:
        """Whether writing is refused."""

    @abstractmethod
    def directory(self, *, write: bool = False) -> AbstractContextManager[Directory]:
        """Return a transaction over the list of tenants and the workspace's settings."""

    @abstractmethod
    def read(self, scope: TenantScope) -> AbstractContextManager[Reader]:
        """Return a read transaction of one tenant."""

    @abstractmethod
    def write(self, scope: TenantScope) -> AbstractContextManager[Writer]:
        """Return a write transaction of one tenant: committed at the end, rolled back by an exception."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection. Twice is once."""
