"""The example package is found by its entry point and serves, as it would once it is installed."""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from minirag.cli import main
from minirag.errors import ParseError, ProviderNotFoundError, ProviderOptionsError
from minirag.interfaces import LLMRequest, ParserInput, Passage, PromptMessage, ProviderContext
from minirag.models.tenants import ProviderRef
from minirag.plugins import Registry

if TYPE_CHECKING:
    from .conftest import Site

SAMPLE = Path(__file__).parents[1] / "sample_plugin"
PAGE = Path(__file__).parents[2] / "docs/how-to/write-a-plugin.md"


@pytest.fixture
def registry(site: Site) -> Registry:
    """A registry in an environment where the package lies as `pip install` would leave it."""
    project = tomllib.loads((SAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(SAMPLE / "minirag_sample", site.folder / "minirag_sample")
    points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"]["minirag"].items())
    site.describe(project["name"], f"[minirag]\n{points}")
    return Registry.discover(["sample"])


def test_it_is_found_by_its_entry_point(registry: Registry) -> None:
    """All its providers bear the name and version of the distribution."""
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


def test_its_reranker_counts_words(registry: Registry) -> None:
    """The share of the query's words that a text has."""
    reranker = registry.create("reranker", ProviderRef(provider="shared-words"), ProviderContext())
    assert reranker.scores("Return a laptop", ["Laptop!", "you may return a laptop", ""]) == [1 / 3, 1.0, 0.0]


def test_its_parser_reads_subtitles_in_place_of_the_built_in_one(registry: Registry) -> None:
    """What is said, a line a caption, with its number; what is no caption is left out, with a warning."""
    choice = registry.parser_for(".srt")
    assert choice is not None
    assert choice.name == "subtitles"
    parser = registry.create("parser", ProviderRef(provider="subtitles"), ProviderContext())
    times = b"00:00:01,000 --> 00:00:02,000"
    film = b"\xef\xbb\xbf1\r\n%b\r\n<i>We open</i>\r\nat nine.\r\n\r\nstray\r\n\r\n2\r\n%b\r\nYes.\r\n" % (times, times)
    parsed = parser.parse(ParserInput(film, "film.srt"))
    assert parsed.text == "We open at nine.\nYes."
    assert [(parsed.text[span.start : span.end], span.number) for span in parsed.spans] == [
        ("We open at nine.", 1),
        ("Yes.", 3),
    ]
    assert parsed.warnings == ("left out 1 paragraphs that are no captions",)
    with pytest.raises(ParseError, match=r"no caption"):
        parser.parse(ParserInput(b"We open at nine.", "film.srt"))


def test_the_doctor_shows_it_as_the_page_does(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each provider, whatever the versions are."""
    main(["doctor"])
    shown, documented = (
        [
            re.sub(r"\d+(\.\d+)+", "VERSION", line).split()
            for line in text.splitlines()
            if re.search(r"\bminirag-sample \d", line)
        ]
        for text in (capsys.readouterr().out, PAGE.read_text(encoding="utf-8"))
    )
    assert len(shown) == 4
    assert shown == documented
