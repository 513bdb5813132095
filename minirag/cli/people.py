"""Commands on the people of a tenant and their tokens."""

from __future__ import annotations

import argparse
import getpass
import sys
from contextlib import AbstractContextManager

from minirag.cli.places import confirm, finding, open_workspace, session_of
from minirag.cli.showing import print_json, print_table
from minirag.errors import BotNotFoundError, InvalidInputError, TokenNotFoundError, UserNotFoundError
from minirag.models.people import ApiToken, User

__all__ = ["create_token", "create_user", "list_tokens", "list_users", "remove_user", "revoke_token", "update_user"]

_SECONDS_A_DAY = 86_400


def list_users(options: argparse.Namespace) -> int:
    """Print the people of a tenant."""
    with open_workspace(options) as workspace:
        users = session_of(workspace, options).users.list()
    if options.json:
        print_json(users)
    else:
        print_table(["e-mail", "role", "made"], [[u.email, u.role, f"{u.created_at:%Y-%m-%d}"] for u in users])
    return 0


def create_user(options: argparse.Namespace) -> int:
    """Add a person."""
    with open_workspace(options) as workspace:
        session = session_of(workspace, options)
        user = session.users.create(options.email, _password(), options.role)
    return _print_user(user, options)


def update_user(options: argparse.Namespace) -> int:
    """Change a person's role, e-mail address or password."""
    if not (options.role or options.email or options.password):
        raise InvalidInputError("nothing to change: give --role, --email or --password")
    with open_workspace(options) as workspace:
        session = session_of(workspace, options)
        password = _password() if options.password else None
        with _finding_user(options):
            user = session.users.update(options.user, role=options.role, email=options.email, password=password)
    return _print_user(user, options)


def remove_user(options: argparse.Namespace) -> int:
    """Delete a person and their tokens."""
    with open_workspace(options) as workspace:
        session = session_of(workspace, options)
        with _finding_user(options):
            user = session.users.get(options.user)
        if not confirm(f"Delete {user.email!r} and all their tokens?", options):
            return 1
        session.users.remove(user)
    if options.json:
        print_json({"removed": user.email})
    else:
        print(f"removed {user.email}")
    return 0


def list_tokens(options: argparse.Namespace) -> int:
    """Print tokens, newest first."""
    with open_workspace(options) as workspace:
        session = session_of(workspace, options)
        with _finding_user(options):
            tokens = session.tokens.list(options.user)
        emails = {user.id: user.email for user in session.users.list()}
    if options.json:
        print_json(tokens)
    else:
        head = ["id", "kind", "scope", "used", "ends", "e-mail", "name"]
        print_table(head, [_row(token, emails.get(token.user_id, "")) for token in tokens])
    return 0


def _row(token: ApiToken, email: str) -> list[object]:
    used = "" if token.last_used_at is None else f"{token.last_used_at:%Y-%m-%d}"
    end = "" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d}"
    return [token.id, token.kind, token.scope, used, end if token.revoked_at is None else "revoked", email, token.name]


def create_token(options: argparse.Namespace) -> int:
    """Make a token and print it, this once."""
    with open_workspace(options) as workspace:
        session = session_of(workspace, options)
        with _finding_user(options), finding(BotNotFoundError, f"no bot {options.only_bot!r}", "bots list"):
            token = session.tokens.create(
                options.user,
                name=options.name,
                scope=options.scope,
                bot=options.only_bot,
                expires_in=None if options.days is None else options.days * _SECONDS_A_DAY,
            )
    if options.json:
        print_json({**token.model_dump(mode="json"), "token": token.token})
        return 0
    if not options.quiet:
        print("this is shown once; keep it like a password:", file=sys.stderr)
    print(token.token)
    return 0


def revoke_token(options: argparse.Namespace) -> int:
    """End a token."""
    with open_workspace(options) as workspace:
        session = session_of(workspace, options)
        with finding(TokenNotFoundError, "no token of this id", "tokens list"):
            session.tokens.revoke(options.token_id)
    if options.json:
        print_json({"revoked": options.token_id})
    else:
        print(f"revoked {options.token_id}")
    return 0


def _finding_user(options: argparse.Namespace) -> AbstractContextManager[None]:
    return finding(UserNotFoundError, f"no user {options.user!r}", "users list")


def _print_user(user: User, options: argparse.Namespace) -> int:
    if options.json:
        print_json(user)
    else:
        print(f"{user.role} {user.email}")
    return 0


def _password() -> str:
    """Return a password, asked for twice or read from standard input, so that no list of processes shows it."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise InvalidInputError("the two passwords differ; nothing was changed")
    return password
