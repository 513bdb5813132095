"""`minirag doctor`: what this installation has, and what is wrong with it."""

from __future__ import annotations

import argparse
import platform
import sqlite3
from collections.abc import Sequence
from importlib import metadata
from typing import Any, get_args

from minirag import __version__
from minirag.cli.places import open_workspace
from minirag.cli.showing import print_json, print_table
from minirag.errors import MiniRAGError
from minirag.interfaces import ProviderContext, ProviderKind
from minirag.models.tenants import ProviderRef
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
        "providers": [_row(entry) for kind in get_args(ProviderKind) for entry in registry.specs(kind)],
        "workspace": workspace,
        "problems": problems,
    }
    if options.json:
        print_json(report)
    else:
        _print(report)
    return 1 if problems else 0


def _row(entry: Any) -> dict[str, Any]:
    missing = ", ".join(entry.missing_modules)
    return {
        "kind": entry.kind,
        "name": entry.name,
        "origin": entry.origin,
        "available": not missing,
        "summary": f"needs {missing}" if missing else entry.spec.summary,
    }


def _print(report: dict[str, Any]) -> None:
    print(f"minirag {report['minirag']}, Python {report['python']}, SQLite {report['sqlite']}")
    print(", ".join(f"{name} {version}" for name, version in report["libraries"].items()))
    if report["workspace"]:
        print(f"workspace {report['workspace']['location']}: {report['workspace']['tenants']} tenants")
    print()
    rows = [
        [row["kind"], row["name"], row["origin"], "yes" if row["available"] else "no", row["summary"]]
        for row in report["providers"]
    ]
    print_table(["kind", "name", "origin", "available", ""], rows)
    print()
    for problem in report["problems"]:
        print(f"problem: {problem}")
    if not report["problems"]:
        print("no problem found")


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
