"""Bots' settings: from keywords to a checked profile, and what a change of them entails."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from minirag._services import audit
from minirag._services.core import BotContext, Core, TenantContext
from minirag._services.secrets import check_credentials
from minirag._services.servers import guarded_fields
from minirag.errors import (
    BotNotFoundError,
    ConflictError,
    EmbeddingSpaceMismatchError,
    InvalidInputError,
    NotFoundError,
    TenantNotFoundError,
)
from minirag.interfaces import ProviderKind, TenantScope
from minirag.interfaces.storage import Writer
from minirag.models.checks import check_text, clipped
from minirag.models.principals import Principal
from minirag.models.tenants import BotProfile, BotRecord, ProviderRef
from minirag.types import new_id, utc_now

__all__ = ["CUT_BY", "FIELDS", "Defaults", "change_bot", "create_bot", "find_bot"]

PROVIDERS: Final[tuple[ProviderKind, ...]] = ("llm", "embedder", "chunker", "reranker")
CUT_BY: Final = ("chunker", "language", "embed_context")
"""The settings that decide how documents are cut; a change of one makes every document stale."""
_PATIENCE: Final = 5
FIELDS: Final = tuple(sorted({*BotProfile.model_fields, "credentials"} - {"credential_fields"}))
"""The keywords that `tenant.bot(..., create=True)` and `bot.update` take."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a new bot gets where its maker says nothing."""

    llm: ProviderRef
    embedder: ProviderRef
    chunker: ProviderRef
    reranker: ProviderRef | None = None


def find_bot(tenant: TenantContext, name: object) -> BotRecord:
    """Return the tenant's bot of this name.

    Raises:
        BotNotFoundError: if there is none.
    """
    text = check_text("a bot's name", name, maximum=200)
    tenant.allow("bots.read")
    with tenant.core.storage.read(tenant.scope) as reader:
        record = reader.bot(text)
    if record is None or not tenant.sees(record.id):
        raise BotNotFoundError(
            f"tenant {tenant.tenant.slug!r} has no bot {text!r}; make it with tenant.bot({text!r}, create=True)"
        )
    return record


def create_bot(tenant: TenantContext, name: object, settings: Mapping[str, Any], defaults: Defaults) -> BotRecord:
    """Return the bot of this name, made if there is none; settings that differ from an existing one's update it."""
    text = check_text("a bot's name", name, maximum=200)
    tenant.allow("bots.create")
    fields, credentials = _parse(tenant.core, tenant.scope, settings)
    with tenant.core.storage.read(tenant.scope) as reader:
        existing = reader.bot(text)
    if existing is not None:
        return change_bot(BotContext(tenant.core, tenant.scope, existing.id, text, tenant.principal), settings)
    base = {
        "llm": defaults.llm,
        "embedder": defaults.embedder,
        "chunker": defaults.chunker,
        "reranker": defaults.reranker,
    }
    given = {field: value for field, value in credentials.items() if value is not None}
    fields = guarded_fields(tenant.core.fetcher, tenant.principal, fields, present=None, given=credentials)
    profile = BotProfile(**{**base, **fields, "name": text, "credential_fields": tuple(sorted(given))})
    space = tenant.core.engines.check(profile, PROVIDERS, given, tenant.scope.tenant_id)
    assert space is not None
    now = utc_now()
    record = BotRecord(id=new_id(), profile=profile, space=space, created_at=now, updated_at=now)
    context = BotContext(tenant.core, tenant.scope, record.id, text, tenant.principal)
    with tenant.core.storage.write(tenant.scope) as writer:
        if writer.bot(text) is None:
            try:
                writer.put_bot(record)
            except NotFoundError as problem:
                slug = tenant.tenant.slug
                raise TenantNotFoundError(
                    f"tenant {slug!r} does not exist any more; ws.tenants.list() shows those there are"
                ) from problem
            tenant.core.secrets.put(writer, tenant.scope, record.id, given)
            audit.record(writer, tenant.principal, "bot.created", record.id)
            _record_credentials(writer, tenant.principal, record.id, given)
            return record
    # Another thread or process made it between the look and the write.
    return change_bot(context, settings, name=text)


def change_bot(bot: BotContext, settings: Mapping[str, Any], *, name: str | None = None) -> BotRecord:
    """Return the bot after a change of its settings; equal ones change nothing.

    Raises:
        EmbeddingSpaceMismatchError: if another embedder is named, whose vectors cannot be compared with those stored.
    """
    bot.allow("bots.update")
    fields, credentials = _parse(bot.core, bot.scope, settings)
    core = bot.core
    for _ in range(_PATIENCE):
        core.check()
        with core.storage.read(bot.scope) as reader:
            record = reader.bot(name) if name is not None else reader.bot_by_id(bot.bot_id)
        if record is None:
            raise BotNotFoundError(
                f"bot {bot.name!r} does not exist (any more); tenant.bots.list() shows those there are"
            )
        profile, new_credentials = _changed(bot, record, fields, credentials)
        if profile == record.profile and not new_credentials:
            return record
        changed = record.model_copy(update={"profile": profile, "updated_at": utc_now()})
        with core.storage.write(bot.scope) as writer:
            present = writer.bot_by_id(record.id)
            if present is None:
                raise BotNotFoundError(f"bot {bot.name!r} was deleted meanwhile")
            if present != record:
                continue  # another thread or process changed it between the look and the write: both changes count
            other = writer.bot(profile.name)
            if other is not None and other.id != record.id:
                raise ConflictError(f"the tenant has another bot {profile.name!r}; choose another name")
            writer.put_bot(changed)
            core.secrets.put(writer, bot.scope, record.id, new_credentials)
            if profile != record.profile:
                audit.record(writer, bot.principal, "bot.updated", record.id)
            _record_credentials(writer, bot.principal, record.id, new_credentials)
            if any(getattr(profile, field) != getattr(record.profile, field) for field in CUT_BY):
                writer.mark_stale(record.id)
        return changed
    raise ConflictError(f"bot {bot.name!r} was changed by others again and again; try again")


def _record_credentials(writer: Writer, principal: Principal, bot_id: str, changes: Mapping[str, str | None]) -> None:
    """Enter the names of credentials that were set, and of those that were removed, in the audit log."""
    given = {name for name, value in changes.items() if value is not None}
    audit.record(writer, principal, "credential.set", *(f"{bot_id}/{name}" for name in sorted(given)))
    removed = sorted(set(changes) - given)
    audit.record(writer, principal, "credential.removed", *(f"{bot_id}/{name}" for name in removed))


def _changed(
    bot: BotContext, record: BotRecord, fields: Mapping[str, Any], credentials: Mapping[str, str | None]
) -> tuple[BotProfile, dict[str, str | None]]:
    """Return a bot's profile with other settings, checked, and the changes of its credentials (None: removed)."""
    core = bot.core
    fields = guarded_fields(core.fetcher, bot.principal, fields, present=record.profile, given=credentials)
    stored_fields = set(record.profile.credential_fields)
    removed = {field for field, value in credentials.items() if value is None} & stored_fields
    given = {field: value for field, value in credentials.items() if value is not None}
    held = core.secrets.open(bot.scope, record.id) if stored_fields & set(given) else {}
    new: dict[str, str] = {field: value for field, value in given.items() if held.get(field) != value}
    known = tuple(sorted((stored_fields | set(new)) - removed))
    profile = BotProfile(**{**dict(record.profile), **fields, "credential_fields": known})
    kinds = [kind for kind in PROVIDERS if getattr(profile, kind) != getattr(record.profile, kind)]
    if kinds:
        stored = core.secrets.sealed(bot.scope, record.id, sorted(stored_fields - removed))
        # Stored credentials are opened only if an engine asks for one that was not given now.
        space = core.engines.check(profile, kinds, ChainMap(new, stored), bot.scope.tenant_id)  # type: ignore[arg-type]  # it is only read
        if space is not None and not record.space.matches(space):
            raise EmbeddingSpaceMismatchError(
                f"bot {record.profile.name!r} holds vectors of {record.space}; those of {space} cannot be compared with "
                "them. bot.reembed(embedder) moves the bot to the other one"
            )
    return profile, {**new, **dict.fromkeys(removed)}


def _parse(core: Core, scope: TenantScope, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Return the profile's fields among keywords, with providers as references, and the credentials."""
    unknown = sorted(set(settings) - set(FIELDS))
    if unknown:
        raise InvalidInputError(f"a bot has no setting {unknown[0]!r}; it has {', '.join(FIELDS)}")
    fields = dict(settings)
    credentials = fields.pop("credentials", None)
    for kind in PROVIDERS:
        if fields.get(kind) is not None:
            fields[kind] = core.engines.refer(kind, fields[kind], tenant_id=scope.tenant_id)
        elif kind in fields and kind != "reranker":
            del fields[kind]
    if "filterable" in fields and isinstance(fields["filterable"], str):
        raise InvalidInputError(f"filterable={clipped(fields['filterable'])} must be a list of field names")
    return fields, {} if credentials is None else check_credentials(credentials)
