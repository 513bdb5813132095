"""Who may do what: one table of actions, and the one function that compares it with a principal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from minirag.errors import AccessDeniedError
from minirag.models.principals import Principal, Role, TokenScope

__all__ = ["ACTIONS", "ROLES", "SCOPES", "Rule", "allow", "check_grant", "check_person", "permits"]

ROLES: Final[tuple[Role, ...]] = ("member", "admin", "owner")
"""From the least to the most."""
SCOPES: Final[tuple[TokenScope, ...]] = ("read", "write", "admin")
"""From the least to the most."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an action takes.

    Attributes:
        role: the least role of the person.
        scope: the least scope of the token, where a token acts for the person.
        what: what one does with it.
        whole_tenant: whether it reaches beyond one bot, so that a token made for one bot never may.
    """

    role: Role
    scope: TokenScope
    what: str
    whole_tenant: bool = False


# fmt: off
ACTIONS: Final[Mapping[str, Rule]] = MappingProxyType({
    "search":           Rule("member", "read",  "search"),
    "ask":              Rule("member", "read",  "ask, and have answers streamed"),
    "chats.own":        Rule("member", "read",  "begin, continue, list and delete one's own chats"),
    "documents.read":   Rule("member", "read",  "read documents, their texts and versions, and open citations"),
    "sources.read":     Rule("member", "read",  "see where documents come from"),
    "bots.read":        Rule("member", "read",  "see bots, their settings and how large they are"),
    "tokens.own":       Rule("member", "admin", "see and revoke one's own tokens", whole_tenant=True),
    "passwords.own":    Rule("member", "admin", "change one's own password, signed in", whole_tenant=True),
    "usage.read":       Rule("admin",  "read",  "see what provider calls cost"),
    "usage.limits":     Rule("admin",  "read",  "see the tenant's limits and what is used of them", whole_tenant=True),
    "bots.evaluate":    Rule("admin",  "read",  "measure a bot's retrieval"),
    "documents.add":    Rule("admin",  "write", "add documents, and read sources again"),
    "documents.remove": Rule("admin",  "write", "remove documents"),
    "sources.write":    Rule("admin",  "write", "register sources and change them"),
    "sources.remove":   Rule("admin",  "write", "remove sources with their documents"),
    "bots.optimize":    Rule("admin",  "write", "finish pending index work"),
    "chats.others":     Rule("admin",  "admin", "see, continue and delete the chats of others"),
    "documents.erase":  Rule("admin",  "admin", "destroy documents and sources beyond recovery"),
    "bots.create":      Rule("admin",  "admin", "make bots", whole_tenant=True),
    "bots.update":      Rule("admin",  "admin", "change a bot's settings and credentials"),
    "bots.reembed":     Rule("admin",  "admin", "move a bot to another embedder"),
    "bots.delete":      Rule("admin",  "admin", "delete a bot with all that belongs to it"),
    "audit.read":       Rule("admin",  "admin", "see what was done, by whom and when", whole_tenant=True),
    "users.read":       Rule("admin",  "admin", "see who may sign in", whole_tenant=True),
    "users.write":      Rule("admin",  "admin", "make, change and delete people below an owner", whole_tenant=True),
    "users.export":     Rule("admin",  "admin", "write down what is stored of people below an owner", whole_tenant=True),
    "tokens.write":     Rule("admin",  "admin", "make tokens, and see and revoke those of people below an owner",
                             whole_tenant=True),
})
# fmt: on
"""Every action there is, by its name. A person needs the role; a token needs the scope too, and its person the role.

Owners may do all of it to everybody; whom others may touch is in `check_person`.
"""


def permits(principal: Principal, action: str) -> bool:
    """Return whether a principal may do something, by its role and scope as they are given."""
    try:
        allow(principal, action)
    except AccessDeniedError:
        return False
    return True


def allow(principal: Principal, action: str) -> None:
    """Compare a principal, as it stands now, with the table.

    Raises:
        AccessDeniedError: saying which role or scope is missing.
    """
    rule = ACTIONS[action]
    if principal.kind == "application":
        return
    role, scope = principal.role, principal.scope
    if role is None or ROLES.index(role) < ROLES.index(rule.role):
        raise AccessDeniedError(
            f"{action!r} ({rule.what}) needs the role {_at_least(ROLES, rule.role)}; this is {_named(role)}. "
            "An owner or admin can change a person's role",
            action=action,
            role=rule.role,
        )
    if scope is not None and SCOPES.index(scope) < SCOPES.index(rule.scope):
        raise AccessDeniedError(
            f"{action!r} ({rule.what}) needs a token of the scope {_at_least(SCOPES, rule.scope)}; this one has "
            f"{scope!r}. Make another token for it",
            action=action,
            scope=rule.scope,
        )
    if rule.whole_tenant and principal.bot_id is not None:
        raise AccessDeniedError(
            f"{action!r} ({rule.what}) is about the whole tenant, but this token was made for one bot. "
            "Use a token of all bots",
            action=action,
        )


def check_person(principal: Principal, action: str, role: Role) -> None:
    """Refuse to let anybody make, change or delete a person, or a token of a person, of a higher role than their own.

    Args:
        principal: as it stands now, and may do `action`.
        role: what the other person has, or is to get.

    Raises:
        AccessDeniedError: if that is more than the principal's own.
    """
    if principal.kind == "application":
        return
    if principal.role is None or ROLES.index(role) > ROLES.index(principal.role):
        raise AccessDeniedError(
            f"{action!r} on {_named(role)} needs the role {_at_least(ROLES, role)}; this is {_named(principal.role)}",
            action=action,
            role=role,
        )


def check_grant(principal: Principal, action: str, scope: TokenScope) -> None:
    """Refuse to let a token make another one that may do more.

    Raises:
        AccessDeniedError: if `scope` is more than the principal's own.
    """
    if principal.scope is not None and SCOPES.index(scope) > SCOPES.index(principal.scope):
        raise AccessDeniedError(
            f"{action!r} cannot make a token of the scope {scope!r} with one of the scope {principal.scope!r}",
            action=action,
            scope=scope,
        )


def _at_least(order: tuple[str, ...], least: str) -> str:
    return " or ".join(repr(name) for name in order[order.index(least) :])


def _named(role: str | None) -> str:
    if role is None:
        return "nobody's"
    return f"an {role}" if role[0] in "ao" else f"a {role}"
