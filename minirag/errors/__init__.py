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
│   ├── ChatNotFoundError
│   ├── UserNotFoundError
│   └── TokenNotFoundError
├── ConflictError                            what exists already contradicts the call
│   ├── TenantExistsError
│   └── AmbiguousKeyError
├── AuthenticationError                      a password or token that opens nothing
├── AccessDeniedError                        who calls may not do this; says which role or token would do
│   └── SessionEndedError                    the session's token has ended, or its person is gone
├── LimitExceededError                       a limit of the tenant leaves no room for the call
│   ├── BudgetExceededError                  of what it may spend
│   └── QuotaExceededError                   of what it may hold
├── TenantSuspendedError                     the tenant is closed until `ws.tenants.resume`
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

from minirag.errors.calls import (
    AccessDeniedError,
    AmbiguousKeyError,
    ArchiveError,
    AuthenticationError,
    BotNotFoundError,
    BudgetExceededError,
    ChatNotFoundError,
    ConfigurationError,
    ConflictError,
    DocumentNotFoundError,
    FilterError,
    ForkedWorkspaceError,
    InvalidDocumentError,
    InvalidInputError,
    InvalidMetadataError,
    LimitExceededError,
    MiniRAGError,
    NotFoundError,
    QuotaExceededError,
    ReadOnlyWorkspaceError,
    SessionEndedError,
    SourceNotFoundError,
    TenantExistsError,
    TenantNotFoundError,
    TenantSuspendedError,
    TokenNotFoundError,
    UserNotFoundError,
    WorkspaceClosedError,
    WorkspaceStateError,
)
from minirag.errors.documents import (
    BlockedAddressError,
    EvidenceGoneError,
    FetchError,
    IngestError,
    NoTextError,
    ParseError,
    PluginError,
    SecretError,
    SecretKeyMismatchError,
    SecretKeyMissingError,
    UnsupportedFormatError,
)
from minirag.errors.engines import (
    EmbedderNotAvailableError,
    EmbeddingError,
    EmbeddingSpaceMismatchError,
    InvalidEmbeddingError,
    ProviderAuthenticationError,
    ProviderConflictError,
    ProviderConnectionError,
    ProviderError,
    ProviderNotFoundError,
    ProviderNotInstalledError,
    ProviderOptionsError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderResponseError,
    ProviderTimeoutError,
    SchemaVersionError,
    StorageBusyError,
    StorageCorruptError,
    StorageError,
    VectorIndexError,
)

__all__ = [
    "AccessDeniedError",
    "AmbiguousKeyError",
    "ArchiveError",
    "AuthenticationError",
    "BlockedAddressError",
    "BotNotFoundError",
    "BudgetExceededError",
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
    "LimitExceededError",
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
    "QuotaExceededError",
    "ReadOnlyWorkspaceError",
    "SchemaVersionError",
    "SecretError",
    "SecretKeyMismatchError",
    "SecretKeyMissingError",
    "SessionEndedError",
    "SourceNotFoundError",
    "StorageBusyError",
    "StorageCorruptError",
    "StorageError",
    "TenantExistsError",
    "TenantNotFoundError",
    "TenantSuspendedError",
    "TokenNotFoundError",
    "UnsupportedFormatError",
    "UserNotFoundError",
    "VectorIndexError",
    "WorkspaceClosedError",
    "WorkspaceStateError",
]
