"""The clauses of `Storage` about people and tokens; part of `StorageConformance`."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from typing import Any, Literal

import pytest

from minirag.errors import ConflictError, MiniRAGError, TenantExistsError
from minirag.interfaces.identity import Standing, TokenRecord, UserRecord
from minirag.interfaces.scope import mint_scope
from minirag.models.tenants import Tenant
from minirag.testing.storage_probes import interrupted
from minirag.testing.storage_world import Customer, StorageWorld, new_bot
from minirag.types import new_id

__all__ = ["StorageIdentityClauses"]

_NOW = dt.datetime(2024, 5, 1, 12, 0, 0, 123_456, tzinfo=dt.UTC)
_HOUR = dt.timedelta(hours=1)
_EMAIL = "ann@example.com"
_HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"


class StorageIdentityClauses:
    """The tests of S26 to S32."""

    def test_s26_one_person_an_address(self, world: StorageWorld) -> None:
        """S26: an address is one person's in a tenant, and may be another's elsewhere."""
        acme, rival = world.acme, world.rival
        ann, bob = new_user(_EMAIL, role="owner"), new_user("bob@example.com")
        theirs = new_user(_EMAIL, failures=3)
        _put(world, acme, ann, bob)
        _put(world, rival, theirs)
        with world.storage.read(acme.scope) as reader:
            assert reader.users() == [ann, bob], "S26: users() is not what was put, sorted by e-mail address"
            assert reader.user(ann.id) == reader.user_of_email(_EMAIL) == ann, "S26: a person reads otherwise"
            assert reader.user(theirs.id) is None, "S26: user() left its tenant"
            assert reader.user_of_email("nobody@example.com") is None, "S26: somebody was invented"
        with world.storage.read(rival.scope) as reader:
            assert reader.user_of_email(_EMAIL) == theirs, "S26: an address is another tenant's person"
            assert reader.user_of_email(bob.email) is None, "S26: user_of_email() left its tenant"
        with pytest.raises(ConflictError):
            _put(world, acme, new_user(_EMAIL))
        with pytest.raises(ConflictError):
            _put(world, acme, dataclasses.replace(bob, email=_EMAIL))
        changed = dataclasses.replace(bob, email="robert@example.com", role="admin", failures=7, locked_until=_NOW)
        _put(world, acme, changed)
        with world.storage.read(acme.scope) as reader:
            assert reader.users() == [ann, changed], "S26: put_user() did not change the person, or made another one"
        with world.storage.read(rival.scope) as reader:
            assert reader.users() == [theirs], "S26: another tenant's person was changed"

    def test_s27_tokens_go_with_their_people_and_bots(self, world: StorageWorld) -> None:
        """S27: a person who goes takes their tokens along, a bot those that open it alone."""
        acme, second = world.acme, new_bot("second")
        ann, bob = new_user(_EMAIL), new_user("bob@example.com")
        tokens = [new_token(ann), new_token(bob, bot_id=acme.bot.id), new_token(bob, bot_id=second.id), new_token(bob)]
        with world.storage.write(acme.scope) as writer:
            writer.put_bot(second)
        _put(world, acme, ann, bob, *tokens)
        with world.storage.read(acme.scope) as reader:
            assert reader.tokens() == tokens[::-1], "S27: tokens() is not what was put, newest first"
            assert reader.tokens(ann.id) == tokens[:1], "S27: tokens() of a person are others"
            assert reader.token(tokens[1].id) == tokens[1], "S27: token() reads otherwise"
        with world.storage.write(world.rival.scope) as writer:
            assert writer.token(tokens[0].id) is None, "S27: token() left its tenant"
            assert not writer.delete_user(ann.id), "S27: delete_user() left its tenant"
        with world.storage.write(acme.scope) as writer:
            writer.delete_bot(second.id)
            assert writer.delete_user(ann.id), "S27: delete_user() says that there was nobody"
            assert not writer.delete_user(ann.id), "S27: delete_user() says that somebody was there twice"
        with world.storage.read(acme.scope) as reader:
            assert reader.tokens() == [tokens[3], tokens[1]], "S27: the wrong tokens are left"
            assert reader.users() == [bob], "S27: the wrong people are left"

    def test_s27_tokens_belong_to_people_of_their_tenant(self, world: StorageWorld) -> None:
        """S27: a token of another tenant's person, or of nobody, cannot be put."""
        ann = new_user(_EMAIL)
        _put(world, world.acme, ann)
        for stranger in (ann, new_user("gone@example.com")):
            with pytest.raises(MiniRAGError):
                _put(world, world.rival, new_token(stranger))
        with world.storage.read(world.rival.scope) as reader:
            assert reader.tokens() == [], "S27: a token has nobody of its tenant"

    def test_s28_a_token_is_found_by_its_hash(self, world: StorageWorld) -> None:
        """S28: `token_grant` finds the token of a hash, of whatever tenant, with the present tenant and role."""
        made: list[tuple[Customer, TokenRecord]] = []
        for customer in (world.acme, world.rival):
            user = new_user(_EMAIL, role="owner" if customer is world.acme else "member")
            token = new_token(user, scope="write", expires_at=_NOW + _HOUR, kind="session")
            _put(world, customer, user, token)
            made.append((customer, token))
        for (customer, token), role in zip(made, ("owner", "member"), strict=True):
            grant = _grant(world, token.token_hash)
            assert grant is not None, "S28: a token is not found by its hash"
            assert (grant.tenant, grant.role, grant.token) == (customer.tenant, role, token), "S28: it opens another"
            assert _grant(world, token.token_hash[:-1] + b"\0") is None, "S28: a part of a hash is enough"
        with world.storage.write(world.acme.scope) as writer:
            (user,) = writer.users()
            writer.put_user(dataclasses.replace(user, role="admin"))
            writer.revoke_tokens([made[0][1].id], _NOW)
        grant = _grant(world, made[0][1].token_hash)
        assert grant is not None
        assert (grant.role, grant.token.revoked_at) == ("admin", _NOW), "S28: it tells what was, not what is"
        with pytest.raises(ConflictError):
            _put(world, world.rival, dataclasses.replace(made[1][1], id=new_id(), token_hash=made[0][1].token_hash))

    def test_s29_standing_is_what_is_stored_now(self, world: StorageWorld) -> None:
        """S29: `standing` follows role, revocation and removal, and knows no other tenant's or person's token."""
        acme = world.acme
        ann, bob = new_user(_EMAIL, role="owner"), new_user("bob@example.com")
        token = new_token(ann, bot_id=acme.bot.id, scope="write", expires_at=_NOW + _HOUR)
        _put(world, acme, ann, bob, token)
        full = Standing("owner", "write", acme.bot.id, _NOW + _HOUR, None)
        with world.storage.read(acme.scope) as reader:
            assert reader.standing(ann.id) == Standing("owner"), "S29: without a token it is not the role alone"
            assert reader.standing(ann.id, token.id) == full, "S29: with a token it is something else"
            assert reader.standing(bob.id, token.id) is None, "S29: another person's token counts"
            assert reader.standing(ann.id, new_id()) is None, "S29: a token that is not there counts"
        with world.storage.read(world.rival.scope) as reader:
            assert reader.standing(ann.id) is reader.standing(ann.id, token.id) is None, "S29: it left its tenant"
        _put(world, acme, dataclasses.replace(ann, role="member"))
        with world.storage.write(acme.scope) as writer:
            writer.revoke_tokens([token.id], _NOW)
        with world.storage.read(acme.scope) as reader:
            after = dataclasses.replace(full, role="member", revoked_at=_NOW)
            assert reader.standing(ann.id, token.id) == after, "S29: a demotion or revocation is not seen"
        with world.storage.write(acme.scope) as writer:
            writer.delete_user(ann.id)
            assert writer.standing(ann.id) is writer.standing(ann.id, token.id) is None, (
                "S29: somebody gone still counts"
            )

    def test_s30_only_the_named_tokens_are_written(self, world: StorageWorld) -> None:
        """S30: revocations and times of use touch the named tokens of the own tenant, and never go back."""
        acme, ann, theirs = world.acme, new_user(_EMAIL), new_user(_EMAIL)
        one, other, foreign = new_token(ann), new_token(ann), new_token(theirs)
        _put(world, acme, ann, one, other)
        _put(world, world.rival, theirs, foreign)
        with world.storage.write(acme.scope) as writer:
            writer.revoke_tokens([one.id, foreign.id, new_id()], _NOW)
            writer.revoke_tokens([one.id], _NOW + _HOUR)
            writer.revoke_tokens([], _NOW)
            writer.use_tokens({one.id: _NOW, foreign.id: _NOW, new_id(): _NOW})
            writer.use_tokens({one.id: _NOW + _HOUR})
            writer.use_tokens({one.id: _NOW - _HOUR})
            writer.use_tokens({})
        with world.storage.read(acme.scope) as reader:
            expected = dataclasses.replace(one, revoked_at=_NOW, last_used_at=_NOW + _HOUR)
            assert reader.token(one.id) == expected, "S30: it is not the first revocation and the last use"
            assert reader.token(other.id) == other, "S30: a token that was not named was written"
        with world.storage.read(world.rival.scope) as reader:
            assert reader.token(foreign.id) == foreign, "S30: another tenant's token was written"

    def test_s31_ended_sessions_go_and_nothing_else(self, world: StorageWorld) -> None:
        """S31: sessions that expired or were revoked before go; living ones, and tokens of programs, stay."""
        ann, theirs = new_user(_EMAIL), new_user(_EMAIL)
        past, future = _NOW - _HOUR, _NOW + _HOUR
        ended = [
            new_token(ann, kind="session", expires_at=past),
            new_token(ann, kind="session", expires_at=future, revoked_at=past),
        ]
        stay = [
            new_token(ann, kind="session", expires_at=future),
            new_token(ann, kind="session", expires_at=_NOW, revoked_at=_NOW),
            new_token(ann, expires_at=past),
            new_token(ann, revoked_at=past),
        ]
        foreign = new_token(theirs, kind="session", expires_at=past)
        _put(world, world.acme, ann, *ended, *stay)
        _put(world, world.rival, theirs, foreign)
        with world.storage.write(world.acme.scope) as writer:
            assert writer.delete_ended_sessions(_NOW) == len(ended), "S31: it counts others than ended sessions"
            assert writer.tokens() == stay[::-1], "S31: the wrong tokens are left"
        with world.storage.read(world.rival.scope) as reader:
            assert reader.tokens() == [foreign], "S31: another tenant's session went"

    def test_s32_the_first_person_comes_with_the_tenant(self, world: StorageWorld) -> None:
        """S32: tenant, person and token come together, or none of them."""
        tenant = Tenant(id=new_id(), slug="new", name="New", created_at=_NOW, updated_at=_NOW)
        user = new_user(_EMAIL, role="owner")
        token = new_token(user)

        def make(made: Tenant) -> None:
            with world.storage.directory(write=True) as directory:
                directory.insert_tenant(made)
                directory.insert_first_user(made, user, token)

        with pytest.raises(TenantExistsError):
            make(tenant.model_copy(update={"slug": "acme"}))
        with interrupted(world.storage.directory(write=True)) as directory:
            directory.insert_tenant(tenant)
            directory.insert_first_user(tenant, user, token)
        assert _grant(world, token.token_hash) is None, "S32: a token came without its tenant"
        make(tenant)
        grant = _grant(world, token.token_hash)
        assert grant is not None, "S32: the first token opens nothing"
        assert (grant.tenant, grant.role, grant.token) == (tenant, "owner", token), "S32: it opens something else"
        with world.storage.read(mint_scope(tenant.id)) as reader:
            assert (reader.users(), reader.tokens()) == ([user], [token]), "S32: person or token are not the tenant's"


def new_user(email: str, **changes: Any) -> UserRecord:
    """Return a person's record."""
    user = UserRecord(
        id=new_id(),
        email=email,
        role="member",
        password_hash=_HASH,
        failures=0,
        locked_until=None,
        created_at=_NOW,
        updated_at=_NOW,
    )
    return dataclasses.replace(user, **changes)


def new_token(user: UserRecord, *, kind: Literal["api", "session"] = "api", **changes: Any) -> TokenRecord:
    """Return the record of a token of a person."""
    token_id = new_id()
    token = TokenRecord(
        id=token_id,
        user_id=user.id,
        bot_id=None,
        kind=kind,
        scope="read",
        token_hash=hashlib.sha256(token_id.encode()).digest(),
        prefix=f"mrag_{token_id}",
        name="A name",
        created_at=_NOW,
        expires_at=None,
        last_used_at=None,
        revoked_at=None,
    )
    return dataclasses.replace(token, **changes)


def _put(world: StorageWorld, customer: Customer, *records: UserRecord | TokenRecord) -> None:
    with world.storage.write(customer.scope) as writer:
        for each in records:
            if isinstance(each, UserRecord):
                writer.put_user(each)
            else:
                writer.put_token(each)


def _grant(world: StorageWorld, token_hash: bytes) -> Any:
    with world.storage.directory() as directory:
        return directory.token_grant(token_hash)
