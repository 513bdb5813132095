"""Storages that are wrong about people and tokens fail `StorageConformance` by the clause they break."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from minirag.interfaces.scope import mint_scope
from minirag.interfaces.storage import Directory, Storage
from minirag.providers.sqlalchemy.storage import SqlAlchemyStorage
from minirag.testing.storage import StorageConformance
from minirag.testing.storage_world import StorageWorld
from tests.testing.test_wrong_storages import Wrong


class WrongDirectory(Wrong):
    """A right storage, of which each subclass spoils the directory."""

    @contextmanager
    def directory(self, *, write: bool = False) -> Iterator[Directory]:
        with super().directory(write=write) as directory:
            self.spoil_directory(directory)
            yield directory

    def spoil_directory(self, directory: Any) -> None:
        """Replace a method of a directory."""


class TakesDuplicates(Wrong):
    """Breaks S26: a second person of an address replaces the first."""

    def spoil(self, reader: Any) -> None:
        if not hasattr(reader, "put_user"):
            return
        right = reader.put_user

        def put_user(user: Any) -> None:
            other = reader.user_of_email(user.email)
            right(user if other is None else dataclasses.replace(user, id=other.id))

        reader.put_user = put_user


class KeepsTokens(Wrong):
    """Breaks S27: tokens of a bot that goes stay, and open everything."""

    def spoil(self, reader: Any) -> None:
        if not hasattr(reader, "delete_bot"):
            return
        right = reader.delete_bot

        def delete_bot(bot_id: str) -> None:
            for token in reader.tokens():
                reader.put_token(dataclasses.replace(token, bot_id=None))
            right(bot_id)

        reader.delete_bot = delete_bot


class FindsByHalfAHash(WrongDirectory):
    """Breaks S28: the beginning of a hash is enough."""

    def spoil_directory(self, directory: Any) -> None:
        right = directory.token_grant

        def token_grant(token_hash: bytes) -> Any:
            with SqlAlchemyStorage.directory(self) as own:
                tenants = own.tenants()
            for tenant in tenants:
                with SqlAlchemyStorage.read(self, mint_scope(tenant.id)) as reader:
                    for token in reader.tokens():
                        if token.token_hash[:16] == token_hash[:16]:
                            return right(token.token_hash)
            return None

        directory.token_grant = token_grant


class TellsOldRoles(WrongDirectory):
    """Breaks S28: it opens with the role that there was when it was first asked."""

    def spoil_directory(self, directory: Any) -> None:
        right = directory.token_grant
        seen = self.__dict__.setdefault("seen", {})
        directory.token_grant = lambda token_hash: seen.setdefault(token_hash, right(token_hash))


class RemembersStanding(Wrong):
    """Breaks S29: what was once found out about a token is told again."""

    def spoil(self, reader: Any) -> None:
        right = reader.standing
        seen = self.__dict__.setdefault("seen", {})

        def standing(user_id: str, token_id: str | None = None) -> Any:
            found = right(user_id, token_id)
            return None if found is None else seen.setdefault((user_id, token_id), found)

        reader.standing = standing


class LendsTokens(Wrong):
    """Breaks S29: whoever names a token is taken for its person."""

    def spoil(self, reader: Any) -> None:
        right = reader.standing

        def standing(user_id: str, token_id: str | None = None) -> Any:
            token = None if token_id is None else reader.token(token_id)
            return right(user_id if token is None else token.user_id, token_id)

        reader.standing = standing


class RevokesAnew(Wrong):
    """Breaks S30: a second revocation moves the first."""

    def spoil(self, reader: Any) -> None:
        if not hasattr(reader, "put_token"):
            return

        def revoke_tokens(token_ids: Any, at: Any) -> None:
            for token in reader.tokens():
                if token.id in token_ids:
                    reader.put_token(dataclasses.replace(token, revoked_at=at))

        reader.revoke_tokens = revoke_tokens


class TakesSessionsThatLive(Wrong):
    """Breaks S31: sessions that were not revoked go too."""

    def spoil(self, reader: Any) -> None:
        if not hasattr(reader, "delete_ended_sessions"):
            return
        right = reader.delete_ended_sessions

        def delete_ended_sessions(before: Any) -> int:
            for token in reader.tokens():
                if token.kind == "session":
                    reader.put_token(dataclasses.replace(token, expires_at=before.replace(year=1999)))
            return int(right(before))

        reader.delete_ended_sessions = delete_ended_sessions


class MakesPeopleLater(WrongDirectory):
    """Breaks S32: person and token are written after the tenant, in a transaction of their own that nobody waits for."""

    def spoil_directory(self, directory: Any) -> None:
        directory.insert_first_user = lambda tenant, user, token: None


@pytest.mark.parametrize(
    ("wrong", "clause"),
    [
        (TakesDuplicates, 26), (KeepsTokens, 27), (FindsByHalfAHash, 28), (TellsOldRoles, 28), (RemembersStanding, 29),
        (LendsTokens, 29), (RevokesAnew, 30), (TakesSessionsThatLive, 31), (MakesPeopleLater, 32),
    ],
)  # fmt: skip
def test_wrong_storage_fails_by_its_clause(wrong: type[Wrong], clause: int, tmp_path: Path) -> None:
    """Of the tests of the clause that a storage breaks, at least one fails, and by what it asserts."""

    class Suite(StorageConformance):
        def make_storage(self, location: Path, *, read_only: bool = False) -> Storage:
            return wrong(location, read_only=read_only)

    suite, failed = Suite(), []
    for name in [name for name in dir(suite) if name.startswith(f"test_s{clause}_")]:
        world = StorageWorld(partial(suite.make_storage, tmp_path / name))
        try:
            getattr(suite, name)(world)
        except (AssertionError, pytest.fail.Exception) as problem:
            failed.append((name, problem))
        finally:
            world.close()
    assert failed, f"{wrong.__name__} passed the tests of S{clause}"
