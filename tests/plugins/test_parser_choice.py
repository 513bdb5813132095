"""Which parser reads a file."""

from __future__ import annotations

import types

import pytest

from minirag.errors import ProviderConflictError
from minirag.interfaces import ProviderSpec, hookimpl
from minirag.plugins import Registry

BUILT_IN = Registry.discover(())


@pytest.mark.parametrize(
    ("extension", "media_type", "name"),
    [
        (".pdf", None, "pdf"),
        (".PDF", None, "pdf"),
        ("", "text/html; charset=utf-8", "html"),
        (".pdf", "text/html", "html"),
        (".md", "text/plain", "markdown"),
        (".csv", "application/octet-stream", "csv"),
        ("", "text/plain", "text"),
        (".php", "TEXT/HTML", "html"),
        (".txt", "application/x-unknown", "text"),
        (".exe", None, None),
        ("", None, None),
        ("", "image/png", None),
    ],
)
def test_a_parser_is_chosen_by_media_type_then_extension(
    extension: str, media_type: str | None, name: str | None
) -> None:
    """What a server declares counts, unless it declares nothing in particular."""
    found = BUILT_IN.parser_for(extension, media_type)
    assert (found and found.name) == name


def parser(label: str, **more: object) -> types.SimpleNamespace:
    """Return a plugin with one parser of `.pdf` and `.pages`."""
    record = ProviderSpec(name=label, factory="acme:create", extensions=(".pdf", ".pages"), **more)  # type: ignore[arg-type]
    return types.SimpleNamespace(__name__=label, minirag_parsers=hookimpl(lambda: [record]))


def test_an_installed_parser_goes_before_the_built_in_one() -> None:
    """A plugin may read a format better; the built-in parser keeps its name."""
    registry = Registry.discover([parser("better")])
    found = registry.parser_for(".pdf")
    assert found is not None
    assert found.name == "better"
    assert registry.find("parser", "pdf").origin == "built-in"


def test_a_parser_that_lacks_its_modules_gives_way() -> None:
    """It is chosen only where no other reads the format."""
    registry = Registry.discover([parser("lame", requires=("a_module_that_is_not_there",))])
    found, only = registry.parser_for(".pdf"), registry.parser_for(".pages")
    assert found is not None
    assert only is not None
    assert (found.name, only.name) == ("pdf", "lame")


def test_a_contested_format_is_an_error_for_who_asks() -> None:
    """Other formats are served."""
    registry = Registry.discover([parser("one"), parser("two")])
    assert registry.parser_for(".txt") is not None
    with pytest.raises(
        ProviderConflictError, match=r"the format '\.pages' is claimed by the plugins 'one' .* and 'two'"
    ):
        registry.parser_for(".pages")
