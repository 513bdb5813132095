"""`PeopleMachine`: the part of the state machine that makes people and tokens, and signs in with them."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from minirag.errors import (
    AuthenticationError,
    ConflictError,
    SessionEndedError,
    TokenNotFoundError,
    UserNotFoundError,
)
from minirag.security.passwords import Cost, Passwords
from minirag.testing import machine_strategies as draw
from minirag.testing.machine_oracle import TENANTS, canary
from minirag.testing.machine_writing import WritingMachine

__all__ = ["PeopleMachine"]

_TENANT = draw.tenants()
_HANDLE = draw.handles()
_EMAIL = st.sampled_from(("ann@example.com", "bob@example.com"))


class PeopleMachine(WritingMachine):
    """People of two tenants with the same addresses, each with a password that only one tenant has."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, dict[str, str]] = {tenant: {} for tenant in TENANTS}
        """Roles by e-mail address."""

    def open(self) -> None:
        super().open()
        # What a hash costs is not what is tried here, and a programme makes many.
        self.handles[-1]._core.passwords.passwords = Passwords(Cost(passes=1, kibibytes=64, lanes=1))

    @rule(tenant=_TENANT, handle=_HANDLE, email=_EMAIL, role=st.sampled_from(("owner", "admin", "member")))
    def put_person(self, *, tenant: str, handle: int, email: str, role: str) -> None:
        """Make a person, or give the one there is another role."""
        users, people = self.session(tenant, handle).users, self.people[tenant]
        if email not in people:
            assert users.create(email.upper(), _password(tenant), role).role == role
        elif role != "owner" and self._is_last_owner(tenant, email):
            with pytest.raises(ConflictError):
                users.update(email, role=role)
            return
        else:
            assert users.update(email, role=role, password=_password(tenant)).role == role
        people[email] = role
        self._check_people(tenant, handle)

    @rule(tenant=_TENANT, handle=_HANDLE, email=_EMAIL)
    def remove_person(self, *, tenant: str, handle: int, email: str) -> None:
        users, people = self.session(tenant, handle).users, self.people[tenant]
        if email not in people:
            with pytest.raises(UserNotFoundError):
                users.remove(email)
        elif self._is_last_owner(tenant, email):
            with pytest.raises(ConflictError):
                users.remove(email)
        else:
            users.remove(email)
            del people[email]
        self._check_people(tenant, handle)

    @rule(tenant=_TENANT, handle=_HANDLE, email=_EMAIL)
    def sign_in(self, *, tenant: str, handle: int, email: str) -> None:
        """A password opens the tenant it was set in, and no other one; the session it gives can be issued a token."""
        workspace = self.workspace(handle)
        (rival,) = set(TENANTS) - {tenant}
        with pytest.raises(AuthenticationError):
            workspace.login(tenant, email, _password(rival))
        if email not in self.people[tenant]:
            with pytest.raises(AuthenticationError):
                workspace.login(tenant, email, _password(tenant))
            return
        session = self.listening(tenant, workspace.login(tenant, email, _password(tenant)))
        assert session.principal.role == self.people[tenant][email]
        issued = session.issue_token()
        again = self.listening(tenant, self.workspace(handle + 1).authenticate(issued.token))
        assert [bot.name for bot in again.bots.list()] == sorted(self.tenants[tenant]), "a session sees other bots"
        again.tokens.revoke(issued)
        with pytest.raises(SessionEndedError):
            again.bots.list()

    @rule(tenant=_TENANT, handle=_HANDLE, email=_EMAIL)
    def change_password(self, *, tenant: str, handle: int, email: str) -> None:
        """A new password is one tenant's person's; the password and sessions of the other tenant's, of the same address, stay."""
        (rival,) = set(TENANTS) - {tenant}
        if email not in self.people[tenant]:
            return
        workspace, old, new = self.workspace(handle), _password(tenant), f"{_password(tenant)} anew"
        issued = [workspace.login(tenant, email, old).issue_token().token for _ in range(2)]
        others = workspace.login(rival, email, _password(rival)).issue_token() if email in self.people[rival] else None
        session = self.listening(tenant, self.workspace(handle + 1).authenticate(issued[0]))
        session.change_password(old, new)
        with pytest.raises(AuthenticationError):
            workspace.login(tenant, email, old)
        with pytest.raises(AuthenticationError):
            workspace.authenticate(issued[1])
        if others is not None:
            workspace.login(rival, email, _password(rival))
            workspace.authenticate(others.token).tokens.revoke(others)
        session.change_password(new, old)
        workspace.login(tenant, email, old)

    @rule(tenant=_TENANT, handle=_HANDLE, email=_EMAIL, everything=st.booleans())
    def use_token(self, *, tenant: str, handle: int, email: str, everything: bool) -> None:
        """A token opens the tenant it was made in, until it is revoked there."""
        tokens = self.session(tenant, handle).tokens
        if email not in self.people[tenant]:
            with pytest.raises(UserNotFoundError):
                tokens.create(email)
            return
        token = tokens.create(email, name=canary(tenant))
        assert tokens.list(email)[0] == token, "the token that was just made is not the newest one"
        opened = self.listening(tenant, self.workspace(handle + 1).authenticate(token.token))
        assert opened.tenant.slug == tenant, "a token opened another tenant"
        assert [bot.name for bot in opened.bots.list()] == sorted(self.tenants[tenant]), "a token sees other bots"
        (rival,) = set(TENANTS) - {tenant}
        with pytest.raises(TokenNotFoundError):
            self.session(rival, handle).tokens.revoke(token.id)
        if everything:
            assert tokens.revoke_all(email) >= 1
        else:
            tokens.revoke(token)
        with pytest.raises(AuthenticationError):
            self.workspace(handle).authenticate(token.token)

    def _is_last_owner(self, tenant: str, email: str) -> bool:
        owners = [other for other, role in self.people[tenant].items() if role == "owner"]
        return owners == [email]

    def _check_people(self, tenant: str, handle: int) -> None:
        users = self.session(tenant, handle).users
        found = {user.email: user.role for user in users.list()}
        assert found == self.people[tenant], "other people are listed"
        assert all(users.get(email).role == role for email, role in found.items()), "a person reads otherwise"
        for email in list(found)[:1]:
            path = self._root / "person.jsonl"
            assert users.export(email, path).counts["user"] == 1, "a person's data are not theirs"
            text = path.read_text(encoding="utf-8")
            path.unlink()
            told = [canary(other) for other in TENANTS if other != tenant and canary(other) in text]
            assert not told, "a person's data hold what is another tenant's"


def _password(tenant: str) -> str:
    return f"a password of {canary(tenant)}"
