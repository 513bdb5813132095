"""Names of credentials: `api_key` is for every engine of a bot that takes one, `llm.api_key` for one of them alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from minirag.errors import InvalidInputError
from minirag.models.checks import check_text, clipped

__all__ = ["CREDENTIAL_ENGINES", "check_credential_name", "credentials_of"]

CREDENTIAL_ENGINES: Final = ("llm", "embedder", "reranker")
"""What is given credentials, and may have some of its own."""


def check_credential_name(name: object) -> str:
    """Return a credential's name, or raise `InvalidInputError` if it is neither `name` nor `engine.name`."""
    text = check_text("a credential's name", name, maximum=100)
    engine, dot, own = text.rpartition(".")
    if own.isidentifier() and (not dot or engine in CREDENTIAL_ENGINES):
        return text
    engines = ", ".join(f"'{engine}.api_key'" for engine in CREDENTIAL_ENGINES)
    raise InvalidInputError(
        f"{clipped(text)} is not a credential's name: write letters, digits and '_', as in 'api_key', for all that a bot "
        f"calls, or put before a dot which engine it is for: {engines}"
    )


def credentials_of(engine: str, names: Iterable[str]) -> dict[str, str]:
    """Return which of a bot's credentials an engine is given: the stored name by the name the engine knows it under.

    Its own go before those for all. Another engine's are not in it; an engine that takes no credentials has none.
    """
    found: dict[str, str] = {}
    if engine in CREDENTIAL_ENGINES:
        for name in names:
            owner, dot, own = name.rpartition(".")
            if not dot:
                found.setdefault(name, name)
            elif owner == engine:
                found[own] = name
    return found
