"""`QdrantOptions`: where Qdrant is, and how its collections are built and searched."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from minirag.errors import InvalidInputError, ProviderOptionsError
from minirag.models.base import InputModel
from minirag.models.urls import split_url

__all__ = ["QdrantOptions"]


class QdrantOptions(InputModel):
    """Options of the vector index `qdrant`: `url`, or `path` to try it without a server.

    Attributes:
        url: the server's address, such as `http://localhost:6333`.
        api_key: the key that the server asks for.
        path: a folder for the client's local mode, or `:memory:`; one process at a time, and no more than some thousand vectors.
        prefer_grpc: speak gRPC (port 6334) where there is a choice, which is faster for many vectors.
        timeout: seconds after which a call is given up.
        prefix: what the names of collections begin with.
        m: neighbours of a vector in the graph that a bot's vectors get.
        ef_construct: candidates that are looked at when a vector is put in.
        hnsw_ef: candidates that are looked at in a search.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    url: str | None = None
    api_key: SecretStr | None = None
    path: str | None = Field(default=None, min_length=1)
    prefer_grpc: bool = False
    timeout: int = Field(default=30, ge=1, le=3_600)
    prefix: str = Field(default="minirag_", pattern=r"^[A-Za-z0-9_-]{1,100}$")
    m: int = Field(default=16, ge=2, le=256)
    ef_construct: int = Field(default=128, ge=4, le=4_096)
    hnsw_ef: int = Field(default=128, ge=1, le=4_096)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url, the address of a server, or path, a folder for the local mode")
        if self.url is not None:
            split_url(self.url)
        return self
