"""`Principal`: on whose behalf a session acts."""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal

from minirag.models.base import Model

__all__ = ["APPLICATION", "Principal", "Role", "TokenScope"]

Role = Literal["owner", "admin", "member"]
TokenScope = Literal["read", "write", "admin"]


class Principal(Model):
    """On whose behalf a session acts.

    Attributes:
        kind: `application` for the program itself, which may do everything; `user` after a login; `token` or `session` after
            `authenticate`.
        user_id: the person, or whose token it is.
        token_id: the token's or signed session's id.
        role: the person's role when the session was made.
        scope: what the token may do at most; None where the role alone counts.
        bot_id: the only bot that it opens; None for all of the tenant's.
        expires_at: when it ends, or None.
    """

    kind: Literal["application", "user", "token", "session"] = "application"
    user_id: str | None = None
    token_id: str | None = None
    role: Role | None = None
    scope: TokenScope | None = None
    bot_id: str | None = None
    expires_at: dt.datetime | None = None


APPLICATION: Final = Principal()
"""The program that opened the workspace."""
