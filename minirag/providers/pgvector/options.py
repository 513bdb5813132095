"""`PgVectorOptions`: where the database is, and how its HNSW indexes are built and searched."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from minirag.errors import InvalidInputError, ProviderOptionsError
from minirag.models.base import InputModel

__all__ = ["PgVectorOptions", "plain_dsn"]


class PgVectorOptions(InputModel):
    """Options of the vector index `pgvector`.

    Attributes:
        dsn: a URL `postgresql://user:password@host/database`; if not given, the workspace's own database.
        halfvec: build HNSW indexes over numbers of half the size; final scores are of the full ones either way.
            Always so beyond 2,000 dimensions, which an index of full numbers cannot have.
        m: neighbours of a vector in an HNSW index.
        ef_construction: candidates that are looked at when a vector is put in.
        ef_search: candidates that are looked at in a search.
        index_from: vectors of a bot from which it gets an HNSW index; below, all of them are compared.
        build_memory: megabytes a build may take (`maintenance_work_mem`); the graph should fit.
        connect_timeout: seconds after which connecting is given up.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    dsn: SecretStr | None = None
    halfvec: bool = False
    m: int = Field(default=16, ge=2, le=100)
    ef_construction: int = Field(default=64, ge=4, le=1_000)
    ef_search: int = Field(default=200, ge=1, le=1_000)
    index_from: int = Field(default=10_000, ge=1)
    build_memory: int = Field(default=512, ge=1, le=1_000_000)
    connect_timeout: int = Field(default=10, ge=1, le=3_600)

    @field_validator("dsn")
    @classmethod
    def _of_postgresql(cls, dsn: SecretStr | None) -> SecretStr | None:
        if dsn is not None and plain_dsn(dsn.get_secret_value()) is None:
            raise ValueError("must be a URL that begins with postgresql://")
        return dsn

    @field_validator("ef_construction")
    @classmethod
    def _wide_enough(cls, ef_construction: int, info: object) -> int:
        m = getattr(info, "data", {}).get("m", 2)
        if ef_construction < 2 * m:
            raise ValueError(f"must be at least twice m, {2 * m}")
        return ef_construction


def plain_dsn(url: str) -> str | None:
    """Return a PostgreSQL URL as its client library takes it, without SQLAlchemy's name of a driver; None for any other."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.split("+", maxsplit=1)[0] not in ("postgresql", "postgres"):
        return None
    return f"postgresql://{rest}"
