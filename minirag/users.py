"""`tenant.users`: the people who may sign in to a tenant."""

from __future__ import annotations

import os
from collections.abc import Sequence

from minirag._services.core import TenantContext
from minirag._services.people import create_user, get_user, list_users, remove_user, update_user
from minirag._services.personal_data import export_person
from minirag._services.steps import Steps, run
from minirag.models.moving import PersonalDataReport
from minirag.models.people import User
from minirag.models.principals import Role

__all__ = ["Users"]


class Users:
    """The people of a tenant. They are named by id, by e-mail address, or by a `User`."""

    def __init__(self, context: TenantContext) -> None:
        self._context = context

    def create(self, email: str, password: str, role: Role = "member") -> User:
        """Add a person and return them.

        Args:
            email: kept normalised and in lower case; one person of the tenant has it.
            password: 8 to 1,024 characters; stored as an Argon2id hash.
            role: `"owner"`, `"admin"` or `"member"`.

        Raises:
            ConflictError: if another person has the e-mail address.
        """
        return run(self._create_steps(email, password, role))

    def _create_steps(self, email: str, password: str, role: Role) -> Steps[User]:
        """Return the steps of `create`, for either face."""
        return create_user(self._context, email, password, role)

    def get(self, user: User | str) -> User:
        """Return a person.

        Raises:
            UserNotFoundError: if there is none of this id or e-mail address.
        """
        return get_user(self._context, user)

    def list(self) -> Sequence[User]:
        """Return everybody, sorted by e-mail address."""
        return list_users(self._context)

    def update(
        self, user: User | str, *, role: Role | None = None, email: str | None = None, password: str | None = None
    ) -> User:
        """Change a person and return them. A new password ends the sessions that `issue_token` made; their tokens stay.

        Raises:
            UserNotFoundError: if there is none.
            ConflictError: if the e-mail address is taken, or nobody would be an owner any more.
        """
        return run(self._update_steps(user, role=role, email=email, password=password))

    def _update_steps(
        self, user: User | str, *, role: Role | None, email: str | None, password: str | None
    ) -> Steps[User]:
        """Return the steps of `update`, for either face."""
        return update_user(self._context, user, role=role, email=email, password=password)

    def remove(self, user: User | str) -> None:
        """Delete a person and all their tokens, which ends at once what acts on their behalf.

        Raises:
            UserNotFoundError: if there is none.
            ConflictError: if nobody would be an owner any more.
        """
        remove_user(self._context, user)

    def export(self, user: User | str, path: str | os.PathLike[str]) -> PersonalDataReport:
        """Write what is stored of a person into a new file, as it is at one moment; others may write meanwhile.

        Each line is a JSON object with one of these: `user`; `token`, without its secret; `chat` and, after it, each `message`
        with its citations; `event`, for what the audit log holds of what was done by the person or on their behalf.

        Args:
            path: where; nothing may be there. Only the file's owner may read it.

        Raises:
            UserNotFoundError: if there is none.
            ConflictError: if there is something at `path`.
            StorageError: if it cannot be written; nothing is left then.
        """
        return export_person(self._context, user, path)

    def __repr__(self) -> str:
        return f"<users of tenant {self._context.tenant.slug!r}>"
