"""Commands on a workspace as a whole: check it, mend it, copy it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minirag.cli.knowledge import progress_of
from minirag.cli.places import open_workspace
from minirag.cli.showing import one_line, print_json, print_table
from minirag.models.verification import Fault

__all__ = ["backup", "repair", "verify"]


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
