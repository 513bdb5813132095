"""`Fetcher`: a URL to the bytes behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

__all__ = ["Fetched", "Fetcher"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as a server sent it, decompressed.

    Attributes:
        url: where it was found, in normal form: the last redirect's target.
        media_type: as the server declared it, in lower case and without parameters, or None.
        charset: as the server declared it, in lower case, or None.
        etag: the server's name for this state of the page, or None.
        last_modified: as the server wrote it, or None.
    """

    url: str
    data: bytes
    media_type: str | None = None
    charset: str | None = None
    etag: str | None = None
    last_modified: str | None = None


class Fetcher(ABC):
    """Reads URLs within the limits it was made with.

    Failures are `minirag.errors.FetchError`; an address that may not be read is `BlockedAddressError`, a text that is
    no URL `InvalidInputError`. May be called from several threads at once.
    """

    @abstractmethod
    def fetch(self, url: str) -> Fetched:
        """Return the page at `url`."""

    @abstractmethod
    def check(self, url: str) -> None:
        """Raise if `url` may not be read as its host's name resolves now: what `fetch` finds out when it connects."""

    async def afetch(self, url: str) -> Fetched:
        """Return what `fetch` returns, without blocking the event loop; by default in a thread."""
        import asyncio  # not for those who never await: it takes as long as a tenth of opening a workspace

        return await asyncio.to_thread(self.fetch, url)
