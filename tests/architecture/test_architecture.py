"""The house rules hold, and each of them is seen to fail when it is broken."""

from __future__ import annotations

import importlib
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest

import minirag

ROOT = Path(minirag.__file__).parent
_SPEC = util.spec_from_file_location("architecture_rules", Path(__file__).with_name("rules.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
rules = util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(rules)

HEAVY = ("faiss", "sqlalchemy", "httpx", "cryptography", "argon2", "numpy", "pydantic", "onnxruntime", "alembic")

RULES: dict[str, tuple[Callable[[Path], list[str]], str, str]] = {
    "a module imports from above": (rules.layer_faults, "models/search.py", "from minirag.bot import Bot\n"),
    "a module imports sideways": (rules.layer_faults, "plugins/registry.py", "import minirag._services.core\n"),
    "a provider imports another": (rules.layer_faults, "providers/faiss/index.py", "import minirag.providers.bm25.index\n"),
    "a provider is imported statically": (rules.layer_faults, "workspace.py", "import minirag.providers.faiss.index\n"),
    "a module stands on no layer": (rules.layer_faults, "attic.py", "x = 1\n"),
    "a module is too long": (rules.length_faults, "bot.py", "x = 1\n" * 401),
    "a module is called utils": (rules.name_faults, "models/utils.py", ""),
    "a library is imported elsewhere": (rules.home_faults, "bot.py", "import faiss\n"),
    "a module has no __all__": (rules.export_faults, "bot.py", '"""A bot."""\nx = 1\ny = 2\nz = 3\n'),
    "a module has no docstring": (rules.export_faults, "bot.py", "__all__ = []\n"),
    "a scope is minted elsewhere": (rules.mint_faults, "bot.py", "from minirag.interfaces.scope import mint_scope\n"),
    "an interface takes a tenant's id": (
        rules.tenant_argument_faults, "interfaces/storage.py", "def documents(self, tenant_id): ...\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "rule", sorted({rule for rule, _, _ in RULES.values()}, key=lambda rule: rule.__name__), ids=lambda r: r.__name__
)
def test_rule_holds(rule: Callable[[Path], list[str]]) -> None:
    """The source tree keeps the rule."""
    assert rule(ROOT) == []


@pytest.mark.parametrize("name", RULES)
def test_rule_fails_when_broken(name: str, tmp_path: Path) -> None:
    """A tree that breaks the rule is caught."""
    rule, place, source = RULES[name]
    target = tmp_path / place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source)
    assert rule(tmp_path)


def test_public_names_exist() -> None:
    """Every public name can be imported, and nothing public is missing from `__all__`."""
    assert minirag.__all__ == sorted(minirag.__all__)
    for name in minirag.__all__:
        assert getattr(minirag, name) is not None
    assert set(minirag._PLACES) | set(minirag._MODULES) == set(minirag.__all__)


def test_every_export_exists() -> None:
    """Each module's `__all__` names what it has."""
    for name, path in rules.modules(ROOT):
        if path.name == "__main__.py" or "migrations" in name:
            continue
        module = importlib.import_module(f"minirag.{name}" if name else "minirag")
        for exported in getattr(module, "__all__", ()):
            assert hasattr(module, exported), f"{name}.{exported}"


def test_import_loads_nothing_heavy() -> None:
    """`import minirag` loads none of the heavy libraries, and few modules of its own."""
    code = "import sys, minirag; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in HEAVY if name in loaded] == []
    assert [name for name in loaded if name.startswith("minirag")] == ["minirag"]


def test_import_is_fast() -> None:
    """`import minirag` takes under a quarter of a second beyond starting Python (median of five)."""
    code = "import time; t = time.perf_counter(); import minirag; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    assert statistics.median(times) < 0.25


def test_opening_and_exact_search_need_no_faiss_and_no_alembic(tmp_path: Path) -> None:
    """Opening an existing workspace and searching a small bot loads neither FAISS nor Alembic nor the HTTP client."""
    make = (
        "import minirag\n"
        f"with minirag.Workspace.open({str(tmp_path)!r}, embedder='hashing') as ws:\n"
        "    ws.tenant('t', create=True).bot('b', create=True).add(minirag.DocumentInput(text='A short text.'))\n"
    )
    subprocess.run([sys.executable, "-c", make], check=True)
    use = (
        "import sys, minirag\n"
        f"with minirag.Workspace.open({str(tmp_path)!r}, embedder='hashing') as ws:\n"
        "    assert len(ws.tenant('t').bot('b').search('text')) == 1\n"
        "print([name for name in ('faiss', 'alembic', 'httpx', 'onnxruntime', 'pypdf') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", use], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
