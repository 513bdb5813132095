"""Conversations that are kept."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from minirag.models.answers import Citation
from minirag.models.base import Model

__all__ = ["ChatRecord", "Message"]


class ChatRecord(Model):
    """A conversation of a bot.

    Attributes:
        title: the beginning of its first question.
        user_id: whose it is, where it was begun by a person or a token; None for the application's own.
    """

    id: str
    bot_id: str
    user_id: str | None = None
    title: str
    created_at: dt.datetime
    updated_at: dt.datetime


class Message(Model):
    """One turn of a conversation.

    Attributes:
        status: `complete`; `partial` if the reader left before the end; `failed` if the model did; `erased` if the answer
            cited what was erased since.
    """

    id: str
    role: Literal["user", "assistant"]
    text: str
    citations: tuple[Citation, ...] = ()
    created_at: dt.datetime
    status: Literal["complete", "partial", "failed", "erased"] = "complete"
