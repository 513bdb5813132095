"""The example package is found by its entry point and serves, as it would once it is installed."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from minirag.errors import ProviderNotFoundError, ProviderOptionsError
from minirag.interfaces import LLMRequest, Passage, PromptMessage, ProviderContext
from minirag.models.tenants import ProviderRef
from minirag.plugins import Registry

if TYPE_CHECKING:
    from .conftest import Site

SAMPLE = Path(__file__).parents[1] / "sample_plugin"


@pytest.fixture
def registry(site: Site) -> Registry:
    """A registry in an environment where the package lies as `pip install` would leave it."""
    project = tomllib.loads((SAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(SAMPLE / "minirag_sample", site.folder / "minirag_sample")
    points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"]["minirag"].items())
    site.describe(project["name"], f"[minirag]\n{points}")
    return Registry.discover(["sample"])


def test_it_is_found_by_its_entry_point(registry: Registry) -> None:
    """Both providers bear the name and version of the distribution."""
    assert registry.failures == ()
    assert registry.find("embedder", "ngrams").origin == "minirag-sample 1.0"
    assert registry.find("llm", "quote").distribution == "minirag-sample"


def test_finding_it_imports_no_engine(registry: Registry) -> None:
    """Only the module with the hooks is imported."""
    assert registry.find("embedder", "ngrams").available
    assert sorted(name for name in sys.modules if name.startswith("minirag_sample")) == [
        "minirag_sample",
        "minirag_sample.plugin",
    ]


def test_it_is_left_out_by_an_empty_list(registry: Registry) -> None:
    """`plugins=()` loads no plugin, installed or not."""
    with pytest.raises(ProviderNotFoundError):
        Registry.discover(()).find("llm", "quote")


def test_its_embedder_finds_what_is_alike(registry: Registry) -> None:
    """Texts that share words are nearer than those that do not; vectors have length one."""
    ref = ProviderRef(provider="ngrams", options={"dimension": 512})
    embedder = registry.create("embedder", ref, ProviderContext())
    near, far, query, empty = embedder.embed(
        ["laptops may be returned", "opening hours on Sunday", "return a laptop", ""], purpose="document"
    )
    assert embedder.space.dimension == 512
    assert query @ near > query @ far
    assert np.allclose([np.linalg.norm(vector) for vector in (near, far, query, empty)], 1)


def test_its_options_are_checked(registry: Registry) -> None:
    """The plugin's own model refuses what it does not know."""
    with pytest.raises(ProviderOptionsError, match=r"'ngrams' of the plugin 'sample' \(minirag-sample 1\.0\): size"):
        registry.create("embedder", ProviderRef(provider="ngrams", options={"size": 3}), ProviderContext())


@pytest.mark.parametrize(
    ("passages", "answer"),
    [
        (
            (Passage(1, "Within 30 days. With the receipt.", None, 0.9), Passage(2, "No.", None, 0.1)),
            "Within 30 days. [1]",
        ),
        ((), ""),
    ],
)
def test_its_model_quotes_the_first_passage(registry: Registry, passages: tuple[Passage, ...], answer: str) -> None:
    """The first sentence and its marker, or nothing."""
    model = registry.create("llm", ProviderRef(provider="quote"), ProviderContext())
    request = LLMRequest(messages=(PromptMessage("user", "How long?"),), question="How long?", passages=passages)
    assert model.generate(request).text == answer
