"""The exception tree: everything MiniRAG raises on purpose.

```text
MiniRAGError
├── InvalidInputError (also ValueError)      an argument is wrong; nothing was changed
│   ├── ArchiveError                         an archive of a tenant that is damaged, or is none
│   ├── ConfigurationError                   a setting, a configuration file or an environment variable
│   ├── FilterError                          a `where=` that cannot be understood
│   ├── InvalidDocumentError                 a document's text, key or title
│   └── InvalidMetadataError                 a document's or a source's metadata
├── NotFoundError (also LookupError)         an id, name, key or path that does not exist here
│   ├── TenantNotFoundError
│   ├── BotNotFoundError
│   ├── SourceNotFoundError
│   ├── DocumentNotFoundError
│   └── ChatNotFoundError
├── ConflictError                            what exists already contradicts the call
│   ├── TenantExistsError
│   └── AmbiguousKeyError
├── WorkspaceStateError                      the workspace cannot serve this call in its present state
│   ├── WorkspaceClosedError
│   ├── ForkedWorkspaceError
│   └── ReadOnlyWorkspaceError
├── StorageError                             the database
│   ├── StorageBusyError
│   ├── StorageCorruptError
│   └── SchemaVersionError
├── VectorIndexError                         an index could not be built, fed or searched
├── EmbeddingError                           vectors
│   ├── EmbedderNotAvailableError
│   ├── EmbeddingSpaceMismatchError
│   └── InvalidEmbeddingError
├── ProviderError                            an engine behind an interface
│   ├── ProviderNotFoundError
│   ├── ProviderConflictError
│   ├── ProviderOptionsError
│   ├── ProviderNotInstalledError
│   ├── ProviderConnectionError
│   ├── ProviderTimeoutError
│   ├── ProviderAuthenticationError
│   ├── ProviderRateLimitError
│   ├── ProviderRequestError
│   └── ProviderResponseError
├── IngestError                              documents could not be taken in; carries the report
├── ParseError                               one file could not be turned into text
│   ├── NoTextError
│   └── UnsupportedFormatError
├── FetchError                               one URL could not be read
│   └── BlockedAddressError
├── EvidenceGoneError                        a citation's text was erased
├── SecretError                              keys and credentials
│   ├── SecretKeyMissingError
│   └── SecretKeyMismatchError
└── PluginError                              a third-party package could not be loaded
```

A message says what was wrong, which value, and what to do next. It never holds the text of a document or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minirag.models.reports import IngestReport

__all__ = [
    "AmbiguousKeyError",
    "ArchiveError",
    "BlockedAddressError",
    "BotNotFoundError",
    "ChatNotFoundError",
    "ConfigurationError",
    "ConflictError",
    "DocumentNotFoundError",
    "EmbedderNotAvailableError",
    "EmbeddingError",
    "EmbeddingSpaceMismatchError",
    "EvidenceGoneError",
    "FetchError",
    "FilterError",
    "ForkedWorkspaceError",
    "IngestError",
    "InvalidDocumentError",
    "InvalidEmbeddingError",
    "InvalidInputError",
    "InvalidMetadataError",
    "MiniRAGError",
    "NoTextError",
    "NotFoundError",
    "ParseError",
    "PluginError",
    "ProviderAuthenticationError",
    "ProviderConflictError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderNotFoundError",
    "ProviderNotInstalledError",
    "ProviderOptionsError",
    "ProviderRateLimitError",
    "ProviderRequestError",
    "ProviderResponseError",
    "ProviderTimeoutError",
    "ReadOnlyWorkspaceError",
    "SchemaVersionError",
    "SecretError",
    "SecretKeyMismatchError",
    "SecretKeyMissingError",
    "SourceNotFoundError",
    "StorageBusyError",
    "StorageCorruptError",
    "StorageError",
    "TenantExistsError",
    "TenantNotFoundError",
    "UnsupportedFormatError",
    "VectorIndexError",
    "WorkspaceClosedError",
    "WorkspaceStateError",
]


class MiniRAGError(Exception):
    """The root of everything MiniRAG raises on purpose."""


class InvalidInputError(MiniRAGError, ValueError):
    """An argument has the wrong type or value. Nothing was changed."""


class ArchiveError(InvalidInputError):
    """An archive of a tenant is damaged, of a form that is not known, or none at all. Nothing was imported."""


class ConfigurationError(InvalidInputError):
    """A setting, a configuration file or an environment variable is wrong."""


class FilterError(InvalidInputError):
    """A `where=` filter cannot be understood."""


class InvalidDocumentError(InvalidInputError):
    """A document's text, key or title cannot be stored."""


class InvalidMetadataError(InvalidInputError):
    """Metadata is not a flat mapping of the supported types."""


class NotFoundError(MiniRAGError, LookupError):
    """Something asked for by id, name, key or path does not exist here.

    Another tenant's id gives the same error, with the same words, as an id that never existed.
    """


class TenantNotFoundError(NotFoundError):
    """No tenant has this slug."""


class BotNotFoundError(NotFoundError):
    """The tenant has no bot of this name."""


class SourceNotFoundError(NotFoundError):
    """A path does not exist, or the bot has no such source."""


class DocumentNotFoundError(NotFoundError):
    """The bot has no document, or no document version, of this key."""


class ChatNotFoundError(NotFoundError):
    """The bot has no chat of this id."""


class ConflictError(MiniRAGError):
    """What exists already contradicts the call."""


class TenantExistsError(ConflictError):
    """The slug belongs to another tenant."""


class AmbiguousKeyError(ConflictError):
    """Several sources of the bot hold a document of this key; name the source."""


class WorkspaceStateError(MiniRAGError):
    """The workspace cannot serve this call in its present state."""


class WorkspaceClosedError(WorkspaceStateError):
    """The workspace was closed before this call."""


class ForkedWorkspaceError(WorkspaceStateError):
    """The workspace was opened in another process; open it again in this one."""


class ReadOnlyWorkspaceError(WorkspaceStateError):
    """The workspace was opened with `read_only=True`."""


class StorageError(MiniRAGError):
    """The database refused or failed."""


class StorageBusyError(StorageError):
    """Another process held the database for longer than the timeout; try again."""


class StorageCorruptError(StorageError):
    """The database file is damaged or is not one of ours."""


class SchemaVersionError(StorageError):
    """The database was written by a newer release, or an older one that may not be migrated now."""


class VectorIndexError(MiniRAGError):
    """An index could not be built, fed or searched.

    Attributes:
        retryable: whether the same call may succeed later.
    """

    retryable = False

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class EmbeddingError(MiniRAGError):
    """Something is wrong with an embedder or its vectors."""


class EmbedderNotAvailableError(EmbeddingError):
    """The bot's embedder was an instance that this process was not given."""


class EmbeddingSpaceMismatchError(EmbeddingError):
    """An embedder's vectors cannot be compared with those the bot holds."""


class InvalidEmbeddingError(EmbeddingError):
    """An embedder returned vectors of the wrong shape, type or value."""


class ProviderError(MiniRAGError):
    """An engine behind an interface failed.

    Attributes:
        provider: the provider's name, such as `"openai"`.
        retryable: whether the same call may succeed later.
        status: the HTTP status, where there was one.
        request_id: the vendor's id of the failed request, where it sent one.
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        retryable: bool | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.request_id = request_id
        if retryable is not None:
            self.retryable = retryable


class ProviderNotFoundError(ProviderError):
    """No provider of this name and kind is registered."""


class ProviderConflictError(ProviderError):
    """Several plugins claim this name."""


class ProviderOptionsError(ProviderError, InvalidInputError):
    """A provider does not take these options."""


class ProviderNotInstalledError(ProviderError):
    """A provider needs a package that is not installed."""


class ProviderConnectionError(ProviderError):
    """A provider's server could not be reached, or broke the connection."""

    retryable = True


class ProviderTimeoutError(ProviderError):
    """A provider's server did not answer in time."""

    retryable = True


class ProviderAuthenticationError(ProviderError):
    """A provider's server refused the credentials."""


class ProviderRateLimitError(ProviderError):
    """A provider's server asked to be called less often.

    Attributes:
        retry_after: seconds the server asked to wait, or None.
    """

    retryable = True

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        provider: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, status=status, request_id=request_id)
        self.retry_after = retry_after


class ProviderRequestError(ProviderError):
    """A provider's server refused the request as it is (4xx)."""


class ProviderResponseError(ProviderError):
    """A provider's server answered with something that cannot be used (5xx, malformed, cut off)."""


class IngestError(MiniRAGError):
    """Documents could not be taken in. What was committed before stays.

    Attributes:
        report: the `IngestReport` of what was done, or None if nothing had begun.
    """

    def __init__(self, message: str, *, report: IngestReport | None = None) -> None:
        super().__init__(message)
        self.report = report


class ParseError(MiniRAGError):
    """A file could not be turned into text."""


class NoTextError(ParseError):
    """A file holds no text, such as a scan without a text layer."""


class UnsupportedFormatError(ParseError):
    """No installed parser reads this format."""


class FetchError(MiniRAGError):
    """A URL could not be read."""


class BlockedAddressError(FetchError):
    """A URL leads to an address that the workspace's `url_policy` does not allow."""


class EvidenceGoneError(MiniRAGError):
    """The text that a citation points at was erased."""


class SecretError(MiniRAGError):
    """Something is wrong with a key or a credential. The message never holds either."""


class SecretKeyMissingError(SecretError):
    """The database holds secrets, but no master key was given or found."""


class SecretKeyMismatchError(SecretError):
    """The master key is not the one that the secrets were encrypted with."""


class PluginError(MiniRAGError):
    """A third-party package could not be loaded as a plugin."""
