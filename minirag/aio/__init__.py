"""The asynchronous face: the same names as the synchronous one, awaited.

Database and index work runs in a small thread pool of the workspace's own; models and fetches are awaited natively.
"""

from __future__ import annotations

from minirag.aio.answers import AsyncAnswer, AsyncAnswerEvent, AsyncCitation, AsyncMessage
from minirag.aio.bot import AsyncBot, AsyncChat
from minirag.aio.workspace import AsyncTenantSession, AsyncWorkspace

__all__ = [
    "AsyncAnswer",
    "AsyncAnswerEvent",
    "AsyncBot",
    "AsyncChat",
    "AsyncCitation",
    "AsyncMessage",
    "AsyncTenantSession",
    "AsyncWorkspace",
]
