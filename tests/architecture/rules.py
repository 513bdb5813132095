"""The house rules as functions over a source tree: each returns what breaks it, so that it can be broken on purpose."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

LAYERS = (
    ("types", "errors"),
    ("models",),
    ("interfaces", "config"),
    ("security", "providers"),
    ("_services", "plugins"),
    ("chat", "documents", "sources"),
    ("bot",),
    ("accounting", "tokens", "users"),
    ("session", "erasures", "tenants", "upkeep"),
    ("workspace",),
    ("aio", "cli"),
    ("testing",),
)
"""From the ground up. A module imports only from lines below its own; folders may import within themselves."""

HOMES = {
    "faiss": "providers/faiss",
    "qdrant_client": "providers/qdrant",
    "sqlalchemy": "providers/sqlalchemy",
    "alembic": "providers/sqlalchemy",
    "httpx": "providers/http",
    "httpcore": "providers/http",
    "cryptography": "security",
    "argon2": "security",
    "onnxruntime": "providers/local",
    "tokenizers": "providers/local",
    "huggingface_hub": "providers/local",
    "sentence_transformers": "providers/local",
    "model2vec": "providers/local",
    "fastembed": "providers/local",
    "xllamacpp": "providers/local",
    "snowballstemmer": "providers/bm25",
    "pypdf": "providers/parsers",
    "olefile": "providers/parsers",
    "selectolax": "providers/parsers",
    "charset_normalizer": "providers/parsers",
    "hypothesis": "testing",
    "pytest": "testing",
}
"""Where each heavy library may be imported: in one place only."""

FOR_TYPES_ONLY = {("errors.documents", "minirag.models.reports")}
"""An error carries a report; the import is for type checkers alone."""

LONGEST = 400
FORBIDDEN_NAMES = ("utils", "util", "helpers", "helper", "manager", "handler", "common", "misc")


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the dotted name below the package, such as `models.search`, and the path of each module."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path, package: str = "minirag") -> Iterator[tuple[str, int]]:
    """Yield each imported module, those in functions and for type checking too, and its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == package:
                for name in node.names:
                    yield f"{package}.{name.name}", node.lineno
            else:
                yield node.module, node.lineno


def _floor(name: str) -> int | None:
    head = name.split(".", maxsplit=1)[0]
    return next((floor for floor, line in enumerate(LAYERS) if head in line), None)


def layer_faults(root: Path) -> list[str]:
    """Return imports that go up or sideways, and modules that stand on no line."""
    faults = []
    for name, path in modules(root):
        if name in ("", "__main__"):
            continue
        floor = _floor(name)
        if floor is None:
            faults.append(f"{name}: stands on no layer")
            continue
        for target, line in imports(path):
            if not target.startswith("minirag.") or target == "minirag.__version__":
                continue
            other = target.removeprefix("minirag.")
            above = _floor(other)
            if other.split(".")[0] == name.split(".")[0]:
                if name.startswith("providers.") and other.split(".")[1:2] != name.split(".")[1:2]:
                    faults.append(f"{name}:{line}: providers do not know each other: {target}")
            elif (name, target) in FOR_TYPES_ONLY:
                continue
            elif above is None or above >= floor:
                faults.append(f"{name}:{line}: imports {target}, which is not below it")
            elif other.startswith("providers"):
                faults.append(f"{name}:{line}: imports {target}; providers are named by string")
    return faults


def length_faults(root: Path) -> list[str]:
    """Return modules that are too long."""
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(root)}
    return [f"{name}: {length} lines" for name, length in lengths.items() if length > LONGEST]


def name_faults(root: Path) -> list[str]:
    """Return modules whose name says nothing."""
    return [name for name, _ in modules(root) if name.split(".")[-1] in FORBIDDEN_NAMES]


def home_faults(root: Path) -> list[str]:
    """Return imports of heavy libraries outside the one place for each."""
    faults = []
    for name, path in modules(root):
        for target, line in imports(path):
            home = HOMES.get(target.split(".")[0])
            if home is not None and not f"{name.replace('.', '/')}/".startswith(f"{home}/"):
                faults.append(f"{name}:{line}: imports {target}; only {home} may")
    return faults


def export_faults(root: Path) -> list[str]:
    """Return modules without a docstring or without an `__all__` of names that exist."""
    faults = []
    for name, path in modules(root):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if ast.get_docstring(tree) is None:
            faults.append(f"{name}: no docstring")
        if path.name == "__main__.py" or "migrations" in path.parts or len(tree.body) <= 2:
            continue
        exported = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            and node.value is not None
            and any(
                isinstance(t, ast.Name) and t.id == "__all__"
                for t in (node.targets if isinstance(node, ast.Assign) else [node.target])
            )
        ]
        if not exported:
            faults.append(f"{name}: no __all__")
    return faults


def mint_faults(root: Path) -> list[str]:
    """Return modules that mint tenant scopes, other than the workspace and the test kit."""
    return [
        f"{name}: mints a TenantScope"
        for name, path in modules(root)
        if "mint_scope" in path.read_text(encoding="utf-8")
        and name != "interfaces.scope"
        and name.split(".")[0] not in ("workspace", "testing")
    ]


def tenant_argument_faults(root: Path) -> list[str]:
    """Return public functions of interfaces that take a tenant's id instead of a scope."""
    faults = []
    for name, path in modules(root):
        if not name.startswith("interfaces"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                arguments = [*node.args.args, *node.args.kwonlyargs]
                if any(argument.arg == "tenant_id" for argument in arguments) and name != "interfaces.scope":
                    faults.append(f"{name}.{node.name} takes a tenant_id")
    return faults
