"""`minirag doctor`: what this installation has, and what is wrong with it."""

from __future__ import annotations

import argparse
import platform
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from importlib import metadata
from typing import Any, get_args

from minirag import __version__
from minirag.cli.places import open_workspace
from minirag.cli.showing import print_json, print_table
from minirag.errors import MiniRAGError
from minirag.interfaces import ProviderContext, ProviderKind
from minirag.models.tenants import ProviderRef
from minirag.plugins.discovery import BUILT_IN, RegisteredSpec
from minirag.plugins.registry import Registry

__all__ = ["doctor"]

_DISTRIBUTION = "minirag-core"
_LIBRARIES = ("numpy", "faiss-cpu", "sqlalchemy", "pydantic", "onnxruntime", "cryptography", "httpx", "pypdf")


def doctor(options: argparse.Namespace) -> int:
    """Print versions, providers and problems; 1 if there is a problem."""
    registry = Registry.discover()
    problems = [*_foreign_packages(), *map(str, registry.failures), *_embedder_problems(registry)]
    workspace: dict[str, Any] | None = None
    if options.workspace:
        try:
            with open_workspace(options) as opened:
                workspace = {"location": opened.location, "tenants": len(opened.tenants.list())}
        except MiniRAGError as problem:
            problems.append(f"the workspace cannot be opened: {problem}")
    report: dict[str, Any] = {
        "minirag": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "providers": _rows([entry for kind in get_args(ProviderKind) for entry in registry.specs(kind)]),
        "workspace": workspace,
        "problems": problems,
    }
    if options.json:
        print_json(report)
    else:
        _print(report)
    return 1 if problems else 0


def _rows(entries: Sequence[RegisteredSpec]) -> list[dict[str, Any]]:
    """Return what there is to say of each provider: who brings it in which version, and what it needs to work."""
    brought = _brought({module for entry in entries for module in entry.spec.requires})
    return [
        {
            "kind": entry.kind,
            "name": entry.name,
            "origin": entry.origin,
            "version": _version(entry.distribution) if entry.distribution else None,
            "available": entry.available,
            "needs": {module: brought.get(module) for module in entry.spec.requires},
            "install": None if entry.available else entry.install_command,
            "summary": entry.spec.summary if entry.available else f"needs {', '.join(entry.missing_modules)}",
        }
        for entry in entries
    ]


def _brought(modules: Collection[str]) -> dict[str, str]:
    """Return name and version of the distribution that brings each of these modules, where that can be told."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        try:
            tops = set((distribution.read_text("top_level.txt") or "").split())
            record = distribution.read_text("RECORD") or ""  # as text: its files as paths take twenty times as long
            tops |= {line.partition(",")[0].partition("/")[0].partition(".")[0] for line in record.splitlines()}
            for module in tops & set(modules):
                found.setdefault(module, f"{distribution.metadata['Name']} {distribution.version}")
        except Exception:  # noqa: BLE001, S112 - other people's files may be damaged in any way
            continue
    return found


def _print(report: dict[str, Any]) -> None:
    print(f"minirag {report['minirag']}, Python {report['python']}, SQLite {report['sqlite']}")
    print(", ".join(f"{name} {version}" for name, version in report["libraries"].items()))
    if report["workspace"]:
        print(f"workspace {report['workspace']['location']}: {report['workspace']['tenants']} tenants")
    print()
    rows = [
        [row["kind"], row["name"], row["origin"], "yes" if row["available"] else "no", _brought_by(row), _told(row)]
        for row in report["providers"]
    ]
    print_table(["kind", "name", "origin", "available", "brought by", ""], rows)
    print()
    for problem in report["problems"]:
        print(f"problem: {problem}")
    if not report["problems"]:
        print("no problem found")


def _brought_by(row: Mapping[str, Any]) -> str:
    """Return the distributions behind a provider: those of the modules that it needs, or its own."""
    own = f"{_DISTRIBUTION} {__version__}" if row["origin"] == BUILT_IN else ""
    return ", ".join(dict.fromkeys(filter(None, row["needs"].values()))) or own


def _told(row: Mapping[str, Any]) -> str:
    return f"{row['summary']}; run: {row['install']}" if row["install"] else str(row["summary"])


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _foreign_packages() -> Sequence[str]:
    """Return a warning for each other distribution that installs a package called `minirag`."""
    owners = {name for name in map(_owner, metadata.distributions()) if name is not None} - {_DISTRIBUTION}
    return [
        f"the package {name!r} also installs a module called minirag and may have overwritten parts of this one; "
        f"run: pip uninstall {name} && pip install --force-reinstall {_DISTRIBUTION}"
        for name in sorted(owners)
    ]


def _owner(distribution: metadata.Distribution) -> str | None:
    """Return the distribution's name if it installs a package called `minirag`."""
    try:
        declared = (distribution.read_text("top_level.txt") or "").split()
        if "minirag" in declared or any(file.parts[0] == "minirag" for file in distribution.files or ()):
            return str(distribution.metadata["Name"])
    except Exception:  # noqa: BLE001 - other people's files may be damaged in any way, which is no fault of ours
        return None
    return None


def _embedder_problems(registry: Registry) -> Sequence[str]:
    """Return what keeps the bundled embedder from working: found by embedding a word."""
    try:
        registry.create("embedder", ProviderRef(provider="minilm"), ProviderContext()).embed(["test"], purpose="query")
    except MiniRAGError as problem:
        return [f"the bundled embedder does not work: {problem}"]
    return []
