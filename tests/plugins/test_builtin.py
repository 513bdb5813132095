"""The built-in providers come through the door of plugins, and each of them is there."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pkgutil import resolve_name

import pytest
from pydantic import BaseModel

from minirag.interfaces import LLM, Chunker, Embedder, Parser, ProviderContext, ProviderKind
from minirag.models.tenants import ProviderRef
from minirag.plugins import Registry
from tests.docs.pages import ROOT

KINDS: dict[ProviderKind, Sequence[str]] = {
    "storage": ["sqlalchemy"],
    "vector_index": ["faiss", "pgvector", "qdrant"],
    "embedder": [
        "azure",
        "cohere",
        "fastembed",
        "gemini",
        "hashing",
        "jina",
        "minilm",
        "model2vec",
        "ollama",
        "onnx",
        "openai",
        "sentence-transformers",
        "voyage",
    ],
    "llm": [
        "anthropic",
        "azure",
        "cohere",
        "deepseek",
        "extractive",
        "gemini",
        "groq",
        "llama-cpp",
        "mistral",
        "ollama",
        "openai",
        "openrouter",
    ],
    "reranker": ["cohere", "jina", "onnx", "sentence-transformers", "voyage"],
    "parser": [
        "csv",
        "docx",
        "eml",
        "epub",
        "html",
        "json",
        "markdown",
        "msg",
        "opendocument",
        "pdf",
        "pptx",
        "rtf",
        "text",
        "xlsx",
    ],
    "chunker": ["markdown", "recursive", "whole"],
}
BUILT_IN = Registry.discover(())


@pytest.mark.parametrize("kind", KINDS)
def test_the_built_in_providers_are_registered(kind: ProviderKind) -> None:
    """They come through the hooks, and nothing of them is left out."""
    assert BUILT_IN.failures == ()
    assert [entry.name for entry in BUILT_IN.specs(kind)] == KINDS[kind]
    assert {entry.origin for entry in BUILT_IN.specs(kind)} <= {"built-in"}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names], ids=lambda value: str(value)
)
def test_every_built_in_record_can_be_imported(kind: ProviderKind, name: str) -> None:
    """Factory and options exist; the options are a model that forbids what it does not know."""
    entry = BUILT_IN.find(kind, name)
    assert entry.available or entry.spec.extra, entry.missing_modules
    assert entry.spec.summary
    assert callable(resolve_name(entry.spec.factory))
    if entry.spec.options:
        model = resolve_name(entry.spec.options)
        assert issubclass(model, BaseModel)
        assert model.model_config.get("extra") == "forbid"


def test_every_extra_can_be_installed() -> None:
    """What the error of a missing package tells to install is in the project's metadata."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {entry.spec.extra for kind in KINDS for entry in BUILT_IN.specs(kind) if entry.spec.extra}
    assert named
    assert named <= set(extras)


def test_discovery_imports_no_engine() -> None:
    """A registry of the built-in providers, and their availability, cost no import of what they need."""
    heavy = "{'faiss', 'sqlalchemy', 'httpx', 'cryptography', 'onnxruntime', 'pypdf', 'selectolax'}"
    code = (
        "import sys\nfrom minirag.plugins import Registry\nregistry = Registry.discover(())\n"
        "kinds = ['storage', 'vector_index', 'embedder', 'llm', 'parser', 'chunker']\n"
        "assert all(entry.available or entry.spec.extra for kind in kinds for entry in registry.specs(kind))\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("kind", "interface", "names"),
    [
        ("embedder", Embedder, ["hashing", "minilm"]),
        ("llm", LLM, ["extractive"]),
        ("parser", Parser, KINDS["parser"]),
        ("chunker", Chunker, KINDS["chunker"]),
    ],
)
def test_every_local_engine_is_made(kind: ProviderKind, interface: type, names: Sequence[str]) -> None:
    """What needs neither a key nor a place comes out of its factory without options."""
    for name in names:
        assert isinstance(BUILT_IN.create(kind, ProviderRef(provider=name), ProviderContext()), interface)
