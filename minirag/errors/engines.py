"""Errors of what stands behind an interface: databases, indexes, embedders, and other providers."""

from __future__ import annotations

from minirag.errors.calls import InvalidInputError, MiniRAGError

__all__ = [
    "EmbedderNotAvailableError",
    "EmbeddingError",
    "EmbeddingSpaceMismatchError",
    "InvalidEmbeddingError",
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
    "SchemaVersionError",
    "StorageBusyError",
    "StorageCorruptError",
    "StorageError",
    "VectorIndexError",
]


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
