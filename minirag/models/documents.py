"""Documents: what an application hands in, and what it gets back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, StrictStr, field_validator

from minirag.errors import InvalidDocumentError, InvalidInputError, InvalidMetadataError
from minirag.models.base import InputModel, Model
from minirag.models.metadata import check_metadata
from minirag.types import MetadataValue

__all__ = ["Document", "DocumentInput", "DocumentVersion", "PageSpan"]


class DocumentInput(InputModel):
    """A document given as text.

    Attributes:
        text: the canonical text, kept as it is. Blank text, NUL and lone surrogates are refused when it is added.
        key: the document's identity in its source; left out, it is `"sha256:"` and the text's hash.
        title: shown with hits and searched by keyword, not part of the text.
        metadata: a flat mapping; see `where=`.
    """

    error: ClassVar[type[InvalidInputError]] = InvalidDocumentError

    text: StrictStr
    key: StrictStr | None = Field(default=None, min_length=1, max_length=2000)
    title: StrictStr | None = Field(default=None, max_length=2000)
    metadata: dict[str, Any] = {}

    def __init__(
        self, *, text: str, key: str | None = None, title: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(text=text, key=key, title=title, metadata=check_metadata(metadata))

    def __repr__(self) -> str:
        return f"DocumentInput(key={self.key!r}, title={self.title!r}, text=<{len(self.text)} characters>)"


class PageSpan(Model):
    """Where one page of a document lies in its canonical text, in code points."""

    number: int
    start: int
    end: int


class Document(Model):
    """A document of a bot, as it stands now.

    Attributes:
        characters: the length of its canonical text in code points.
        chunks: how many chunks it is searched by.
        stale: whether a changed chunker or language will cut it anew at the next `ingest()`.
    """

    id: str
    key: str
    source_id: str
    source_name: str
    title: str | None
    metadata: dict[str, Any]
    version_id: str
    media_type: str
    language: str
    characters: int
    chunks: int
    stale: bool = False
    added_at: dt.datetime
    updated_at: dt.datetime

    @field_validator("metadata")
    @classmethod
    def _metadata(cls, value: dict[str, Any]) -> dict[str, MetadataValue]:
        try:
            return check_metadata(value)
        except InvalidMetadataError as problem:  # pragma: no cover - only a damaged database gets here
            raise ValueError(str(problem)) from problem


class DocumentVersion(Model):
    """One canonical text a document has had. Old ones stay as evidence for citations."""

    id: str
    document_id: str
    media_type: str
    language: str
    characters: int
    chunker: str
    pages: tuple[PageSpan, ...] = ()
    created_at: dt.datetime
