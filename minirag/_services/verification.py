"""Checks of everything that is stored: the database, tenant by tenant, their credentials, and what is derived from them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from minirag._services.core import BotContext, Core
from minirag._services.identity import probe
from minirag._services.progress import choose_progress
from minirag._services.snapshot_checks import SnapshotFault, snapshot_faults
from minirag._services.steps import Steps
from minirag.errors import MiniRAGError, SecretKeyMissingError, StorageBusyError, StorageError, WorkspaceStateError
from minirag.interfaces import TenantScope
from minirag.interfaces.upkeep import StoredFault
from minirag.models.checks import check_flag
from minirag.models.tenants import BotRecord, Tenant
from minirag.models.verification import Fault, VerifyProgress, VerifyReport

__all__ = ["Examination", "Found", "ScopeOf", "examine", "verify"]

ScopeOf = Callable[[str], TenantScope]
"""Returns the scope of a tenant that was just looked up. Only the workspace has it."""

_ORDER = ("tenants", "bots", "documents", "versions", "chunks", "vectors", "credentials", "embedders", "snapshots")
_NO_KEY = "credentials: no master key was given or found"
_SHALLOW = "texts, vectors, logs and the content of snapshots: deep=False"
_NO_MODELS = "whether embedders still make the vectors that are stored: models=False"


@dataclass(frozen=True, slots=True)
class Found:
    """A fault as it is told, and what is needed to mend it."""

    fault: Fault
    scope: TenantScope | None = None
    stored: StoredFault | None = None
    snapshot: SnapshotFault | None = None


@dataclass(slots=True)
class Examination:
    """What a check has found so far."""

    progress: Callable[[VerifyProgress], None] | None
    found: list[Found] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    tenants: Sequence[Tenant] = ()
    stage: str = "file"
    began: float = field(default_factory=time.perf_counter)

    def tell(self, what: str, number: int) -> None:
        """Count what was read, and show it."""
        self.checked[what] += number
        self.show()

    def show(self) -> None:
        """Tell the callback how far it is."""
        if self.progress is not None:
            step = {"stage": self.stage, "done": self.checked["tenants"], "total": len(self.tenants)}
            self.progress(VerifyProgress.model_validate({**step, "chunks": self.checked["chunks"]}))

    def report(self) -> VerifyReport:
        """Return what was found."""
        return VerifyReport(
            faults=tuple(found.fault for found in self.found),
            checked={what: self.checked[what] for what in _ORDER if self.checked[what]},
            skipped=tuple(dict.fromkeys(self.skipped)),
            seconds=time.perf_counter() - self.began,
        )


def verify(core: Core, scope_of: ScopeOf, *, deep: bool, models: bool, progress: object) -> Steps[VerifyReport]:
    """Return what is wrong with anything stored; see `Workspace.verify`."""
    examination = yield from examine(core, scope_of, deep=deep, models=models, progress=progress)
    return examination.report()


def examine(core: Core, scope_of: ScopeOf, *, deep: bool, models: bool, progress: object) -> Steps[Examination]:
    """Return what is wrong, with what is needed to mend it. Nothing is changed."""
    check_flag("deep", deep)
    check_flag("models", models)
    core.check()
    examination = Examination(choose_progress(progress))
    if not deep:
        examination.skipped.append(_SHALLOW)
    if not models:
        examination.skipped.append(_NO_MODELS)
    examination.show()
    try:
        with core.storage.directory() as directory:
            examination.tenants = directory.tenants()
    except StorageError as problem:
        if isinstance(problem, StorageBusyError):
            raise
        # Its pages are found damaged below.
        examination.skipped.append(f"tenants: they cannot be listed: {problem}")
    slugs = {tenant.id: tenant.slug for tenant in examination.tenants}
    for stored in core.storage.verify(None, deep=deep, tell=examination.tell):
        owner = stored.tenant_id
        examination.found.append(
            Found(_told(stored, None if owner is None else slugs.get(owner, owner)), stored=stored)
        )
    examination.stage = "tenants"
    for tenant in examination.tenants:
        core.check()
        scope = scope_of(tenant.id)
        for stored in core.storage.verify(scope, deep=deep, tell=examination.tell):
            examination.found.append(Found(_told(stored, tenant.slug), scope, stored))
        bots = _bots(core, scope, tenant, examination)
        examination.found += _credential_faults(core, scope, tenant, bots, examination)
        if models:
            yield from _model_faults(core, scope, tenant, bots, examination)
        examination.tell("tenants", 1)
    examination.stage = "snapshots"
    examination.show()
    for snapshot in snapshot_faults(core, {tenant.id: scope_of(tenant.id) for tenant in examination.tenants}, deep=deep, tell=examination.tell):  # fmt: skip
        examination.found.append(Found(_snapshot_told(snapshot, slugs), snapshot=snapshot))
    examination.stage = "finished"
    examination.show()
    return examination


def _told(stored: StoredFault, tenant: str | None) -> Fault:
    return Fault(
        kind=stored.kind,
        tenant=tenant,
        bot=stored.bot if stored.bot is not None else stored.bot_id,
        ids=stored.ids,
        count=stored.count,
        what=stored.what,
        repairable=stored.repairable,
        remedy=stored.remedy,
    )


def _snapshot_told(found: SnapshotFault, slugs: dict[str, str]) -> Fault:
    tenant = None if found.tenant_id is None else slugs.get(found.tenant_id)
    return Fault(
        kind=found.kind,
        tenant=tenant,
        bot=(found.bot or found.bot_id) if tenant is not None else None,
        ids=(found.path.name,),
        what=f"{found.path.name}: {found.what}",
        repairable=True,
        remedy="the file is deleted; what it held is derived from the database again",
    )


def _bots(core: Core, scope: TenantScope, tenant: Tenant, examination: Examination) -> list[BotRecord]:
    try:
        with core.storage.read(scope) as reader:
            return reader.bots()
    except WorkspaceStateError:
        raise
    except (MiniRAGError, ValueError) as problem:
        why = "a bot's settings cannot be read" if not isinstance(problem, StorageError) else str(problem)
        examination.skipped.append(f"credentials of tenant {tenant.slug!r}: {why}")
        return []


def _credential_faults(
    core: Core, scope: TenantScope, tenant: Tenant, bots: Sequence[BotRecord], examination: Examination
) -> Iterator[Found]:
    for bot in bots:
        try:
            fields, faults = core.secrets.faults(scope, bot.id)
        except SecretKeyMissingError:
            examination.skipped.append(_NO_KEY)
            continue
        examination.tell("credentials", len(fields))
        faults |= {name: "it is not stored any more" for name in bot.profile.credential_fields if name not in fields}
        for name, problem in sorted(faults.items()):
            fault = Fault(
                kind="credential",
                tenant=tenant.slug,
                bot=bot.profile.name,
                ids=(name,),
                what=f"credential {name!r} cannot be opened: {problem}",
                repairable=False,
                remedy=f"set it again with bot.update(credentials={{{name!r}: ...}}), or restore the master key",
            )
            yield Found(fault, scope)


def _model_faults(
    core: Core, scope: TenantScope, tenant: Tenant, bots: Sequence[BotRecord], examination: Examination
) -> Steps[None]:
    """Compare what each bot's embedder makes now of a few stored texts with what is stored."""
    for record in bots:
        bot = BotContext(core, scope, record.id, record.profile.name)
        try:
            report = yield from probe(bot, core.engines.embedder(bot, record))
        except WorkspaceStateError:
            raise
        except MiniRAGError as problem:
            examination.skipped.append(f"the embedder of {tenant.slug}/{record.profile.name}: {problem}")
            continue
        examination.tell("embedders", 1)
        if report is not None and not report.same:
            fault = Fault(
                kind="model",
                tenant=tenant.slug,
                bot=record.profile.name,
                what=f"its embedder makes other vectors than those stored: the cosine is {report.lowest:.3f}",
                repairable=False,
                remedy="give the embedder that it was made with, or move the bot with bot.reembed(...)",
            )
            examination.found.append(Found(fault, scope))
