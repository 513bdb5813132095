"""Commands that move a tenant from one workspace to another."""

from __future__ import annotations

import argparse
import getpass
import sys

from minirag.cli.knowledge import progress_of
from minirag.cli.places import finding, open_workspace
from minirag.cli.showing import one_line, print_json
from minirag.errors import TenantNotFoundError
from minirag.models.moving import ExportReport, ImportReport

__all__ = ["export_tenant", "import_tenant"]


def export_tenant(options: argparse.Namespace) -> int:
    """Write a tenant into a new file."""
    passphrase = _passphrase(options)
    with (
        open_workspace(options) as workspace,
        finding(TenantNotFoundError, f"no tenant {options.slug!r}", "tenants list"),
    ):
        report = workspace.tenants.export(
            options.slug, options.path, passphrase=passphrase, progress=progress_of(options)
        )
    return _print(report, options)


def import_tenant(options: argparse.Namespace) -> int:
    """Add the tenant of an archive."""
    passphrase = _passphrase(options)
    with open_workspace(options, create=True) as workspace:
        report = workspace.tenants.import_(
            options.path, slug=options.slug, passphrase=passphrase, progress=progress_of(options)
        )
    return _print(report, options)


def _passphrase(options: argparse.Namespace) -> str | None:
    """Return the passphrase, asked for or read from standard input, so that no list of processes shows it."""
    if not options.passphrase:
        return None
    if sys.stdin.isatty():
        return getpass.getpass("passphrase: ")
    return sys.stdin.readline().rstrip("\r\n")


def _print(report: ExportReport | ImportReport, options: argparse.Namespace) -> int:
    if options.json:
        print_json(report)
    else:
        print(one_line(str(report)))
    return 0
