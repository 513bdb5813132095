"""Tenants and what belongs to them: bots' profiles and sources."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import Field, StrictStr, field_validator

from minirag.models.base import InputModel, Model
from minirag.models.checks import check_text
from minirag.models.index import EmbeddingSpace
from minirag.models.metadata import check_metadata

__all__ = [
    "BotProfile",
    "BotRecord",
    "ProviderRef",
    "Source",
    "SourceKind",
    "SourceStatus",
    "Tenant",
    "TenantCounts",
]

SourceKind = Literal["file", "folder", "url", "text"]
SourceStatus = Literal["registered", "ready", "failed"]
INSTANCE = "(instance)"


class TenantCounts(Model):
    """How much a tenant holds.

    Attributes:
        users: people who may sign in.
    """

    bots: int = 0
    documents: int = 0
    chunks: int = 0
    users: int = 0


class Tenant(Model):
    """One customer of the application: everything of one is invisible to every other.

    Attributes:
        suspended_at: since when it is closed, or None.
        counts: what it holds, where that was asked for.
    """

    id: str
    slug: str
    name: str
    created_at: dt.datetime
    updated_at: dt.datetime
    suspended_at: dt.datetime | None = None
    counts: TenantCounts | None = None


class ProviderRef(InputModel):
    """A provider by name, with its options: what `"openai:gpt-4o-mini"` stands for.

    Attributes:
        provider: the registered name, or `"(instance)"` for an object that the application gave.
        options: checked by the provider's own options model. Secrets do not belong here; see `credentials=`.
        guarded: whether one of the tenant's own people set its server, which may then only be where the workspace's
            `url_policy` lets URLs be read from. Set by the library.
    """

    provider: StrictStr = Field(min_length=1, max_length=200)
    options: dict[str, Any] = {}
    guarded: bool = False

    def __str__(self) -> str:
        model = self.options.get("model")
        return f"{self.provider}:{model}" if model else self.provider


class BotProfile(InputModel):
    """The settings of a bot.

    Attributes:
        name: unique in its tenant.
        system_prompt: what the model is told before the question.
        llm: the model that answers.
        embedder: what makes the vectors; fixed when the bot is made.
        chunker: how documents are cut; a change marks them stale.
        reranker: orders the best candidates anew, where one is set.
        language: `"auto"`, or the ISO 639-1 code of all documents.
        embed_context: `"title"` embeds a document's title in front of each chunk.
        keep_versions: how many old texts a document keeps as evidence; None keeps all.
        fusion: how hybrid search joins its lists: `"convex"` (scores) or `"rank"` (reciprocal rank fusion).
        filterable: metadata fields that searches often filter by.
        context_tokens: how many tokens of retrieved text the model is given.
        credential_fields: names of the credentials that are stored, never their values.
    """

    name: StrictStr = Field(min_length=1, max_length=200)
    system_prompt: StrictStr = Field(default="", max_length=100_000)
    llm: ProviderRef
    embedder: ProviderRef
    chunker: ProviderRef
    reranker: ProviderRef | None = None
    language: StrictStr = Field(default="auto", pattern=r"^(auto|none|[a-z]{2})$")
    embed_context: Literal["none", "title"] = "none"
    keep_versions: int | None = Field(default=None, ge=0, le=1_000_000, strict=True)
    fusion: Literal["convex", "rank"] = "convex"
    filterable: tuple[StrictStr, ...] = ()
    context_tokens: int = Field(default=3_000, ge=100, le=1_000_000, strict=True)
    credential_fields: tuple[str, ...] = ()

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if value != value.strip() or not value.isprintable():
            raise ValueError("a name has no spaces around it and only printable characters")
        return value

    @field_validator("system_prompt")
    @classmethod
    def _system_prompt(cls, value: str) -> str:
        return check_text("system_prompt", value, blank=True)

    @field_validator("filterable")
    @classmethod
    def _filterable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_metadata(dict.fromkeys(value)))


class BotRecord(Model):
    """A bot as it is stored: its profile and the embedding space it was made with."""

    id: str
    profile: BotProfile
    space: EmbeddingSpace
    created_at: dt.datetime
    updated_at: dt.datetime


class Source(Model):
    """Where documents come from: a file, a folder, a URL, or texts under a name.

    Attributes:
        locator: an absolute path with links resolved, a normalised URL, or the name of a text source.
        text: what a text source registered with `text=` holds until it is read.
        refresh: seconds after which `ingest()` reads it again, or None for each time.
        status: `registered` before the first reading, then `ready` or `failed`.
        error: why the last reading failed.
    """

    id: str
    bot_id: str
    kind: SourceKind
    locator: str
    name: str
    metadata: dict[str, Any] = {}
    refresh: float | None = None
    text: str | None = Field(default=None, repr=False)
    status: SourceStatus = "registered"
    error: str | None = None
    created_at: dt.datetime
    updated_at: dt.datetime
    ingested_at: dt.datetime | None = None
