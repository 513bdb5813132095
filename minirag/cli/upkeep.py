"""Commands on a workspace as a whole: check it, mend it, copy it, change its keys."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minirag.cli.knowledge import progress_of
from minirag.cli.places import finding, open_workspace
from minirag.cli.showing import one_line, print_json, print_table
from minirag.errors import TenantNotFoundError
from minirag.models.keys import KeyRotation
from minirag.models.verification import Fault

__all__ = ["backup", "repair", "rotate_master_key", "rotate_tenant_key", "verify"]


def verify(options: argparse.Namespace) -> int:
    """Print what is wrong with anything stored; 1 if something is."""
    with open_workspace(options) as workspace:
        report = workspace.verify(deep=not options.quick, models=options.models, progress=progress_of(options))
    if options.json:
        print_json(report)
    else:
        _print_faults(report.faults, "fault")
        _print_end(str(report), report.skipped, options)
    return 0 if report.ok else 1


def repair(options: argparse.Namespace) -> int:
    """Mend what can be mended; 1 if something is left."""
    with open_workspace(options) as workspace:
        report = workspace.repair(progress=progress_of(options))
    if options.json:
        print_json(report)
    else:
        _print_faults(report.repaired, "repaired")
        _print_faults(report.remaining, "left")
        _print_end(str(report), report.skipped, options)
    return 0 if report.ok else 1


def backup(options: argparse.Namespace) -> int:
    """Copy the workspace into a new folder."""
    with open_workspace(options) as workspace:
        report = workspace.backup(options.path, include_key=options.include_key)
    if options.json:
        print_json(report)
    else:
        print(one_line(str(report)))
    return 0


def rotate_master_key(options: argparse.Namespace) -> int:
    """Change the master key."""
    with open_workspace(options) as workspace:
        done = workspace.rotate_master_key()
    return _print_rotation(done, f"{done.rewrapped} data keys wrapped anew", options)


def rotate_tenant_key(options: argparse.Namespace) -> int:
    """Change a tenant's data key."""
    missing = finding(TenantNotFoundError, f"no tenant {options.slug!r}", "tenants list")
    with open_workspace(options) as workspace, missing:
        done = workspace.tenants.rotate_key(options.slug)
    if done.key_id is None:
        return _print_rotation(done, "the tenant holds no credentials, so it has no key", options)
    return _print_rotation(done, f"{done.rewrapped} credentials sealed anew", options)


def _print_rotation(done: KeyRotation, what: str, options: argparse.Namespace) -> int:
    if options.json:
        print_json(done)
    else:
        print(what if done.key_id is None else f"the key is now {done.key_id}; {what}")
    return 0


def _print_faults(faults: Sequence[Fault], heading: str) -> None:
    if faults:
        rows = [[fault.place, fault.kind, fault.what, fault.remedy] for fault in faults]
        print_table([heading, "kind", "what", "remedy"], rows)
        print()


def _print_end(summary: str, skipped: Sequence[str], options: argparse.Namespace) -> None:
    print(summary)
    if not options.quiet:
        for note in skipped:
            print(one_line(f"not checked: {note}"))
