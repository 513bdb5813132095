"""How providers are registered: frozen records that name a factory without importing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import pluggy

if TYPE_CHECKING:
    from minirag.models.urls import UrlPolicy

__all__ = ["INTERFACE_VERSION", "ProviderContext", "ProviderKind", "ProviderSpec", "hookimpl"]

INTERFACE_VERSION: Final = 1
"""The version of the interfaces. A spec of another version is refused with a message."""

ProviderKind: TypeAlias = Literal["storage", "vector_index", "embedder", "llm", "reranker", "parser", "chunker"]

hookimpl = pluggy.HookimplMarker("minirag")
"""Marks a plugin's hook implementations; see `minirag.interfaces.hooks`."""


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider, as a hook returns it.

    Attributes:
        name: what an application writes, such as `"openai"`: lower case, digits, `-` and `_`.
        factory: import string `"package.module:name"` of a callable `(options, context) -> provider`, imported
            when it is first used. `options` is an instance of the options model; see `ProviderContext`.
        options: import string of a pydantic model with `extra="forbid"`, or None if the provider takes none.
        summary: one line for `minirag doctor`.
        requires: top-level modules that must be importable.
        extra: the extra that installs them, such as `"pdf"`.
        extensions: for parsers: file extensions, lower case with the dot.
        media_types: for parsers: media types of downloads.
        environment: credentials and the environment variables that hold them, such as `("api_key", "OPENAI_API_KEY")`;
            read only where a workspace was opened with `env_credentials=True`.
    """

    name: str
    factory: str
    options: str | None = None
    summary: str = ""
    requires: tuple[str, ...] = ()
    extra: str | None = None
    extensions: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    interface_version: int = INTERFACE_VERSION


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a factory is given besides its options.

    Attributes:
        credentials: those of the bot's secrets that are for this provider, such as `{"api_key": "..."}`; kept out of every repr.
        location: for storage and indexes: a folder's path or a database URL, else None.
        environment: variables that credentials which were not given may come from; empty unless the workspace allows it.
        settings: for storage and indexes: what the workspace was opened with, such as `durability` and `read_only`.
        url_policy: which addresses the provider may connect to, where a tenant's own people have set its server; None for any.
    """

    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    location: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict, repr=False)
    url_policy: UrlPolicy | None = None
