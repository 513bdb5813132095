"""What the files of a sentence-transformers folder say about how vectors are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from minirag.providers.local.model_folder import ModelFolder

__all__ = [
    "POOLINGS",
    "SentenceSettings",
    "read_parts",
    "read_prompts",
    "read_sentence_settings",
    "sentence_limit",
    "token_limit",
]

POOLINGS: Final = ("mean", "cls", "max")
_MODES: Final = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max"}
_UNLIMITED: Final = 1_000_000  # tokenizers without a limit say 1e30
_DEFAULT_LIMIT: Final = 512


@dataclass(frozen=True, slots=True)
class SentenceSettings:
    """How a folder's model makes a vector of a text.

    Attributes:
        weights: folder of the transformer's own files below the model's folder, empty if it is the same.
        pooling: how the vectors of the tokens become one: one of `POOLINGS`.
        normalize: whether the vector is brought to length one.
        limit: tokens that the model reads, special ones included.
        dimension: numbers in a vector, or None if no file says so.
        vocabulary: tokens that the weights know, or None if no file says so.
        prompts: what is put before a text, by purpose.
    """

    weights: str
    pooling: str
    normalize: bool
    lower_case: bool
    limit: int
    dimension: int | None
    vocabulary: int | None
    prompts: dict[str, str]


def read_sentence_settings(folder: ModelFolder) -> SentenceSettings:
    """Return what the folder says; one without `modules.json` counts as mean pooling brought to length one.

    Raises:
        ProviderOptionsError: if the model has a part that is not a transformer, a pooling or a normalization, which would
            make other vectors than it should.
        ProviderError: if a file is damaged.
    """
    parts = read_parts(folder)
    weights, pooling, normalize = "", "1_Pooling", True
    if parts is not None:
        kinds = [kind for kind, _ in parts]
        if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            folder.refuse(
                f"the model in {str(folder.path)!r} is made of {', '.join(kinds) or 'nothing'}; it must be a Transformer,"
                " a Pooling and, if any, a Normalize. The provider 'sentence-transformers' takes others"
            )
        weights, pooling = parts[0][1], parts[1][1]
        normalize = len(kinds) == 3
    mode = folder.read_object(f"{pooling}/config.json")
    own = f"{weights}/" if weights else ""
    model = folder.read_object(f"{own}config.json")
    sentence = folder.read_object(f"{own}sentence_bert_config.json")
    dimension = _count(mode.get("word_embedding_dimension")) or _count(mode.get("embedding_dimension"))
    return SentenceSettings(
        weights=weights,
        pooling=_pooling(folder, mode),
        normalize=normalize,
        lower_case=sentence.get("do_lower_case") is True,
        limit=sentence_limit(folder, weights),
        dimension=dimension or _count(model.get("hidden_size")),
        vocabulary=_count(model.get("vocab_size")),
        prompts=read_prompts(folder),
    )


def read_parts(folder: ModelFolder) -> list[tuple[str, str]] | None:
    """Return kind and folder of each of the model's parts, such as `("Pooling", "1_Pooling")`; None without `modules.json`."""
    modules = folder.read_json("modules.json")
    if modules is None:
        return None
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        folder.refuse(f"{str(folder.path / 'modules.json')!r} is not a list of the model's parts")
    return [(str(module.get("type", "")).rpartition(".")[2], str(module.get("path", ""))) for module in modules]


def read_prompts(folder: ModelFolder) -> dict[str, str]:
    """Return what is put before a text, by purpose: the named prompts, else the default one, else nothing."""
    config = folder.read_object("config_sentence_transformers.json")
    prompts = config.get("prompts")
    if not isinstance(prompts, dict):
        return {"document": "", "query": ""}
    default = prompts.get(config.get("default_prompt_name"))
    names = {"query": ("query",), "document": ("document", "passage", "corpus")}  # as `encode_document` looks for them
    return {
        purpose: next((str(prompts[name]) for name in given if prompts.get(name)), str(default or ""))
        for purpose, given in names.items()
    }


def sentence_limit(folder: ModelFolder, weights: str = "") -> int:
    """Return how many tokens a sentence-transformers model reads, special ones included."""
    own = f"{weights}/" if weights else ""
    said = _count(folder.read_object(f"{own}sentence_bert_config.json").get("max_seq_length"))
    return said or token_limit(folder, weights)


def token_limit(folder: ModelFolder, weights: str = "") -> int:
    """Return how many tokens a transformer reads, special ones included; 512 if no file says so."""
    own = f"{weights}/" if weights else ""
    said = _count(folder.read_object(f"{own}tokenizer_config.json").get("model_max_length"))
    places = _count(folder.read_object(f"{own}config.json").get("max_position_embeddings"))
    return min(said or places or _DEFAULT_LIMIT, places or _UNLIMITED)


def _pooling(folder: ModelFolder, mode: dict[str, Any]) -> str:
    named = mode.get("pooling_mode")
    chosen = [named] if isinstance(named, str) else [name for name in mode if _is_mode(name) and mode[name] is True]
    if not chosen:
        return "mean"
    short = [_MODES.get(name.removeprefix("pooling_mode_"), name) for name in chosen]
    if len(short) > 1 or short[0] not in POOLINGS:
        folder.refuse(
            f"the model in {str(folder.path)!r} pools by {' and '.join(map(repr, short))}; this provider pools by one of"
            f" {', '.join(POOLINGS)}. The provider 'sentence-transformers' takes others"
        )
    if mode.get("include_prompt") is False and any(read_prompts(folder).values()):
        folder.refuse(
            f"the model in {str(folder.path)!r} leaves its prompts out of the pooling, which this provider does not;"
            " the provider 'sentence-transformers' does"
        )
    return short[0]


def _is_mode(name: str) -> bool:
    return name.startswith("pooling_mode_")


def _count(value: object) -> int | None:
    """Return a positive number of a sensible size, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _UNLIMITED else None
