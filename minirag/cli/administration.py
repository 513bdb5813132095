"""Commands on what there is: tenants, bots, sources."""

from __future__ import annotations

import argparse
from typing import Any

from minirag._services.ingestion import ingest
from minirag._services.progress import choose_progress
from minirag._services.steps import run
from minirag.bot import Bot
from minirag.cli.erasing import handling_of_chats, print_receipt
from minirag.cli.knowledge import print_report, progress_of
from minirag.cli.places import bot_of, confirm, find_bot, finding, open_workspace, provider_of, session_of, settings_of
from minirag.cli.showing import print_json, print_table
from minirag.errors import InvalidInputError, SourceNotFoundError, TenantNotFoundError
from minirag.models.tenants import BotProfile, Source, Tenant, TenantCounts
from minirag.workspace import Workspace

__all__ = [
    "create_bot",
    "create_tenant",
    "delete_bot",
    "delete_tenant",
    "ingest_sources",
    "list_bots",
    "list_sources",
    "list_tenants",
    "reembed_bot",
    "remove_source",
    "resume_tenant",
    "show_bot",
    "suspend_tenant",
    "update_bot",
    "update_tenant",
]

_SOME_FAILED = 3


def list_tenants(options: argparse.Namespace) -> int:
    """Print every tenant with what it holds."""
    with open_workspace(options) as workspace:
        tenants = workspace.tenants.list(counts=True)
    if options.json:
        print_json(tenants)
    else:
        head = ["slug", "made", "bots", "documents", "chunks", "users", "suspended", "name"]
        print_table(head, [_tenant_row(tenant) for tenant in tenants])
    return 0


def _tenant_row(tenant: Tenant) -> list[object]:
    counts = tenant.counts or TenantCounts()
    since = "" if tenant.suspended_at is None else f"since {tenant.suspended_at:%Y-%m-%d}"
    held = (counts.bots, counts.documents, counts.chunks, counts.users)
    return [tenant.slug, f"{tenant.created_at:%Y-%m-%d}", *held, since, tenant.name]


def create_tenant(options: argparse.Namespace) -> int:
    """Make a tenant."""
    with open_workspace(options, create=True) as workspace:
        tenant = workspace.tenants.create(options.slug, options.name)
    return _print_tenant(tenant, options)


def update_tenant(options: argparse.Namespace) -> int:
    """Rename a tenant."""
    changes: dict[str, Any] = {}
    if options.name is not None:
        changes["name"] = options.name
    if options.new_slug is not None:
        changes["new_slug"] = options.new_slug
    if not changes:
        raise InvalidInputError("nothing to change: give --name or --new-slug")
    with open_workspace(options) as workspace:
        tenant = workspace.tenants.update(_tenant(workspace, options).slug, **changes)
    return _print_tenant(tenant, options)


def _tenant(workspace: Workspace, options: argparse.Namespace) -> Tenant:
    with finding(TenantNotFoundError, f"no tenant {options.slug!r}", "tenants list"):
        return workspace.tenants.get(options.slug)


def _print_tenant(tenant: Tenant, options: argparse.Namespace) -> int:
    if options.json:
        print_json(tenant)
    else:
        print(f"tenant {tenant.slug} ({tenant.name})")
    return 0


def suspend_tenant(options: argparse.Namespace) -> int:
    """Close a tenant."""
    with open_workspace(options) as workspace:
        tenant = workspace.tenants.suspend(_tenant(workspace, options).slug)
    return _done(tenant, f"suspended tenant {tenant.slug}; `minirag tenants resume` opens it again", options)


def resume_tenant(options: argparse.Namespace) -> int:
    """Open a suspended tenant again."""
    with open_workspace(options) as workspace:
        tenant = workspace.tenants.resume(_tenant(workspace, options).slug)
    return _done(tenant, f"tenant {tenant.slug} is open", options)


def delete_tenant(options: argparse.Namespace) -> int:
    """Delete a tenant and all its data."""
    with open_workspace(options) as workspace:
        tenant = _tenant(workspace, options)
        verb = "Destroy beyond recovery" if options.erase else "Delete"
        if not confirm(f"{verb} tenant {tenant.slug!r} with all its bots, documents and chats?", options):
            return 1
        if options.erase:
            return print_receipt(workspace.tenants.delete(options.slug, erase=True), options)
        workspace.tenants.delete(options.slug)
    return _done({"deleted": options.slug}, f"deleted tenant {options.slug}", options)


def list_bots(options: argparse.Namespace) -> int:
    """Print the tenant's bots."""
    with open_workspace(options) as workspace:
        profiles = session_of(workspace, options).bots.list()
    if options.json:
        print_json(profiles)
    else:
        rows = [[profile.name, profile.llm, profile.embedder, profile.chunker] for profile in profiles]
        print_table(["name", "llm", "embedder", "chunker"], rows)
    return 0


def create_bot(options: argparse.Namespace) -> int:
    """Make a bot; the tenant must exist."""
    with open_workspace(options) as workspace:
        session = session_of(workspace, options)
        profile = session.bots.create(options.name, **settings_of(options)).profile
    return _print_profile(profile, options)


def update_bot(options: argparse.Namespace) -> int:
    """Change a bot's settings."""
    settings = settings_of(options)
    if not settings:
        raise InvalidInputError("nothing to change: give a setting, such as --llm")
    with open_workspace(options) as workspace:
        profile = find_bot(session_of(workspace, options), options.name).update(**settings)
    return _print_profile(profile, options)


def _print_profile(profile: BotProfile, options: argparse.Namespace) -> int:
    if options.json:
        print_json(profile)
    else:
        print(f"bot {profile.name}: answers by {profile.llm}, vectors by {profile.embedder}, cut by {profile.chunker}")
    return 0


def show_bot(options: argparse.Namespace) -> int:
    """Print a bot's settings and size."""
    with open_workspace(options) as workspace:
        bot = find_bot(session_of(workspace, options), options.name)
        profile, stats = bot.profile, bot.stats()
    if options.json:
        print_json({"profile": profile, "stats": stats})
    else:
        rows = [*dict(profile).items(), *dict(stats).items()]
        print_table(["setting", "value"], [[name, value] for name, value in rows])
    return 0


def reembed_bot(options: argparse.Namespace) -> int:
    """Move a bot to another embedder."""
    embedder = provider_of("embedder", options.embedder)
    with open_workspace(options) as workspace:
        bot = find_bot(session_of(workspace, options), options.name)
        report = bot.reembed(embedder, options.rechunk, progress=progress_of(options))
    if options.json:
        print_json(report)
    else:
        print(f"bot {options.name}: {report}")
    return 0 if report.rechunked is None or report.rechunked.ok else _SOME_FAILED


def delete_bot(options: argparse.Namespace) -> int:
    """Delete a bot and its documents."""
    with open_workspace(options) as workspace:
        bot = find_bot(session_of(workspace, options), options.name)
        verb = "Destroy beyond recovery" if options.erase else "Delete"
        if not confirm(f"{verb} bot {bot.name!r} with all its documents and chats?", options):
            return 1
        if options.erase:
            return print_receipt(bot.delete(erase=True), options)
        bot.delete()
    return _done({"deleted": options.name}, f"deleted bot {options.name}", options)


def list_sources(options: argparse.Namespace) -> int:
    """Print a bot's sources."""
    with open_workspace(options) as workspace:
        sources = bot_of(workspace, options).sources.list()
    if options.json:
        print_json(sources)
    else:
        rows = [[s.id, s.kind, s.name, s.status, s.error or s.locator] for s in sources]
        print_table(["id", "kind", "name", "status", "locator or error"], rows)
    return 0


def ingest_sources(options: argparse.Namespace) -> int:
    """Read sources again: those named, or all that are due."""
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        if not options.sources:
            return print_report(bot.ingest(progress=progress_of(options)), options)
        named = [_source(bot, source) for source in options.sources]
        return print_report(run(ingest(bot._context, named, progress=choose_progress(progress_of(options)))), options)


def remove_source(options: argparse.Namespace) -> int:
    """Remove a source and its documents."""
    with open_workspace(options) as workspace:
        bot = bot_of(workspace, options)
        if options.erase:
            if not confirm(f"Destroy source {options.source!r} with all its documents beyond recovery?", options):
                return 1
            return print_receipt(
                bot.sources.remove(options.source, erase=True, chats=handling_of_chats(options)), options
            )
        number = bot.sources.remove(_source(bot, options.source))
    documents = f"{number} document{'s' * (number != 1)}"
    return _done({"removed_documents": number}, f"removed the source and its {documents}", options)


def _source(bot: Bot, name: str) -> Source:
    with finding(SourceNotFoundError, f"bot {bot.name!r} has no source {name!r}", "sources list"):
        return bot.sources.get(name)


def _done(value: object, sentence: str, options: argparse.Namespace) -> int:
    if options.json:
        print_json(value)
    else:
        print(sentence)
    return 0
