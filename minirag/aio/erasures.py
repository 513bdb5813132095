"""`AsyncErasures`: the receipts of erasures, awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from minirag.models.erasures import ErasureReceipt
from minirag.workspace import Workspace

__all__ = ["AsyncErasures"]

T = TypeVar("T")


class _Calls(Protocol):
    """Has something done with the workspace in one of its threads."""

    def __call__(self, function: Callable[[Workspace], T], /) -> Awaitable[T]: ...


class AsyncErasures:
    """What was destroyed beyond recovery; see `Erasures`."""

    def __init__(self, call: _Calls) -> None:
        self._call = call

    async def list(self) -> Sequence[ErasureReceipt]:
        """Return every receipt, newest first."""
        return await self._call(lambda ws: ws.erasures.list())

    async def get(self, erasure_id: str) -> ErasureReceipt:
        """Return the receipt of this id; see `Erasures.get`."""
        return await self._call(lambda ws: ws.erasures.get(erasure_id))

    async def resume(self) -> Sequence[ErasureReceipt]:
        """Go on with every erasure that is pending; see `Erasures.resume`."""
        return await self._call(lambda ws: ws.erasures.resume())

    def __repr__(self) -> str:
        return "<erasures of the workspace>"
