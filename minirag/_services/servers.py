"""Which servers the engines of a bot may call, where a tenant's own people set them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minirag.errors import BlockedAddressError, InvalidInputError
from minirag.interfaces import ProviderKind
from minirag.interfaces.fetcher import Fetcher
from minirag.models.credentials import credentials_of
from minirag.models.principals import Principal
from minirag.models.tenants import BotProfile, ProviderRef

__all__ = ["guarded", "guarded_fields"]

_ENGINES: tuple[ProviderKind, ...] = ("llm", "embedder", "reranker")


def guarded(
    fetcher: Fetcher,
    principal: Principal,
    kind: ProviderKind,
    ref: ProviderRef,
    *,
    present: BotProfile | None = None,
    given: Mapping[str, str | None] | None = None,
) -> ProviderRef:
    """Return the reference to store for one that was given: a person's or token's is marked if it names a server.

    The application may name any server. A tenant's people may name what a URL source may be read from, which is checked
    now and, for what is marked, again at each connection. Whoever names a server could read there what is sent to it, so
    the bot's stored credentials do not go along.

    Args:
        present: the bot's settings; an engine that they name already stays as it is.
        given: the credentials that are set (None: removed) in the same call.

    Raises:
        BlockedAddressError: if the address is not allowed.
        InvalidInputError: if the bot has credentials for the engine that are not given again.
    """
    servers = [value for value in ref.options.values() if isinstance(value, str) and _is_url(value)]
    if principal.kind == "application" or not servers:
        return ref
    held = None if present is None else getattr(present, kind)
    if held is not None and (held.provider, held.options) == (ref.provider, ref.options):
        return held  # type: ignore[no-any-return]  # the profile's own field
    for server in servers:
        try:
            fetcher.check(server)
        except BlockedAddressError as problem:
            raise BlockedAddressError(f"{kind}: {problem}") from problem
    stored = {} if present is None else credentials_of(kind, present.credential_fields)
    missing = sorted(set(stored.values()) - set(given or ()))
    if missing:
        raise InvalidInputError(
            f"{kind}: the bot's stored credential {missing[0]!r} is not sent to another server; give the one that this "
            f"server takes in the same call, as credentials={{{missing[0]!r}: ...}}, or None to remove it"
        )
    return ref.model_copy(update={"guarded": True})


def guarded_fields(
    fetcher: Fetcher,
    principal: Principal,
    fields: Mapping[str, Any],
    *,
    present: BotProfile | None,
    given: Mapping[str, str | None],
) -> dict[str, Any]:
    """Return a profile's fields with the references among them as `guarded` gives them."""
    refs = {kind: fields[kind] for kind in _ENGINES if fields.get(kind) is not None}
    return {
        **fields,
        **{kind: guarded(fetcher, principal, kind, ref, present=present, given=given) for kind, ref in refs.items()},
    }


def _is_url(value: str) -> bool:
    return value.lower().startswith(("http://", "https://"))
