"""A provider is named by a string, a mapping or a record."""

from __future__ import annotations

import pytest

from minirag.errors import InvalidInputError
from minirag.models.tenants import ProviderRef
from minirag.plugins import parse_ref


@pytest.mark.parametrize(
    ("value", "provider", "options"),
    [
        ("minilm", "minilm", {}),
        ("openai:gpt-4o", "openai", {"model": "gpt-4o"}),
        ("openai:org/model:tag", "openai", {"model": "org/model:tag"}),
        ({"provider": "openai"}, "openai", {}),
        ({"provider": "openai", "options": {"model": "m"}}, "openai", {"model": "m"}),
    ],
)
def test_a_reference_is_a_string_or_a_mapping(value: object, provider: str, options: dict[str, object]) -> None:
    """Only the first colon separates provider and model."""
    assert parse_ref("llm", value) == ProviderRef(provider=provider, options=options)


def test_a_ready_reference_is_kept() -> None:
    """A `ProviderRef` comes back as it is."""
    ref = ProviderRef(provider="openai")
    assert parse_ref("llm", ref) is ref


@pytest.mark.parametrize(
    "value",
    ["", " ", ":model", "openai:", "openai: ", 5, None, ["openai"], b"openai", {}, {"options": {}}, "(instance)",
     {"provider": "openai", "model": "m"}, {"provider": "(instance)"}, {1: 2}],
)  # fmt: skip
def test_anything_else_is_refused_with_what_is_accepted(value: object) -> None:
    """The message shows all forms."""
    with pytest.raises(
        InvalidInputError, match=r"^embedder: .*'name:model'.* instance of minirag\.interfaces\.Embedder$"
    ):
        parse_ref("embedder", value)


@pytest.mark.parametrize("value", [{"provider": 5}, {"provider": "openai", "options": "m"}, {"provider": ""}])
def test_wrong_parts_of_a_mapping_are_refused(value: object) -> None:
    """The message names the part."""
    with pytest.raises(InvalidInputError, match=r": ProviderRef: (provider|options): "):
        parse_ref("llm", value)
