"""What the state machine draws: few names and words, so that tenants, bots, sources and documents collide."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from minirag.testing.machine_oracle import CHUNKERS, TENANTS, Given, canary
from minirag.testing.strategies import COMMON_VALUES, metadata, where_filters

__all__ = [
    "MOST_HANDLES",
    "bots",
    "contents",
    "file_names",
    "filters",
    "givens",
    "handles",
    "keys",
    "modes",
    "own_metadata",
    "queries",
    "settings",
    "tenants",
    "titles",
]

# No function words and no two of one stem: in whatever language a document is taken, each word finds itself alone.
_WORDS: Final = ("kettle", "bridge", "cloud", "dragon", "engine", "apple", "zebra", "lantern", "42", "{c}")
_KEYS: Final = ("a", "b", "c d/é", "0")
_FIELDS: Final = ("lang", "year", "tag")
_TEXTS: Final = ("en", "{c}", "kettle")
MOST_HANDLES: Final = 3
"""How many workspaces may have the database open at once."""


def tenants() -> st.SearchStrategy[str]:
    """Return the tenants' slugs."""
    return st.sampled_from(TENANTS)


def handles() -> st.SearchStrategy[int]:
    """Return numbers of open workspaces: each has two, one for each of its faces."""
    return st.integers(0, 2 * MOST_HANDLES - 1)


def bots() -> st.SearchStrategy[str]:
    """Return names of bots, the same for every tenant."""
    return st.sampled_from(("support", "docs"))


def keys() -> st.SearchStrategy[str]:
    """Return keys of documents."""
    return st.sampled_from(_KEYS)


def file_names() -> st.SearchStrategy[str]:
    """Return places in a folder; one is also the key of a text."""
    return st.sampled_from(("a.txt", "b.txt", "sub/a.txt"))


def modes() -> st.SearchStrategy[str]:
    """Return the ways to search."""
    return st.sampled_from(("dense", "keyword", "hybrid"))


def contents() -> st.SearchStrategy[str]:
    """Return texts from one word to several paragraphs with characters outside ASCII; now and then a blank one."""
    sentence = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=6).map(lambda words: " ".join(words) + ".")
    joined = st.builds(
        lambda parts, glue: glue.join(parts),
        st.lists(sentence, min_size=1, max_size=5),
        st.sampled_from((" ", "\n\n", "\r\n", " 😀é ")),
    )
    return st.one_of(joined, joined, joined, st.sampled_from(("kettle.", "{c}", " \n ")))


def titles() -> st.SearchStrategy[str | None]:
    """Return titles, often none."""
    return st.sampled_from((None, None, "kettle", "{c} zebra"))


def own_metadata() -> st.SearchStrategy[dict[str, Any]]:
    """Return metadata, many of whose values are equal or nearly so across types."""
    values = st.sampled_from((*COMMON_VALUES, *_TEXTS, True, 1, 0)) | st.lists(st.sampled_from(_TEXTS), max_size=2)
    return metadata(st.sampled_from(_FIELDS), values)


def givens(*, blank: bool = True) -> st.SearchStrategy[Given]:
    """Return documents."""
    texts = contents() if blank else contents().filter(lambda text: bool(text.strip()))
    return st.builds(Given, keys() | st.just("a.txt"), texts, titles(), own_metadata())


def settings() -> st.SearchStrategy[dict[str, str]]:
    """Return settings of a bot that decide how documents are cut, mostly one: "auto" and "none" cut these texts alike."""
    each = {
        "chunker": st.sampled_from(sorted(CHUNKERS)),
        "language": st.sampled_from(("auto", "none", "auto", "none", "en")),
        "embed_context": st.sampled_from(("none", "title")),
    }
    single = [st.fixed_dictionaries({name: values}) for name, values in each.items()]
    return st.one_of(*single, st.fixed_dictionaries({}, optional=each))


def queries() -> st.SearchStrategy[str]:
    """Return what is searched for: words of the documents, an unknown one, the canaries of all tenants."""
    words = (*_WORDS[:-1], "xylophone", *map(canary, TENANTS))
    return st.lists(st.sampled_from(words), min_size=1, max_size=3).map(" ".join)


def filters(*, pages: bool = True) -> st.SearchStrategy[dict[str, Any] | None]:
    """Return arguments of `where=`; `$page` is a field of chunks, not of documents."""
    names = (*_FIELDS, *_FIELDS, "$key", "$source", "$title", *(["$page"] if pages else []))
    values = (*COMMON_VALUES, *_KEYS, "en", "kettle", "inline", "files", *map(canary, TENANTS))
    return st.none() | where_filters(st.sampled_from(names), st.sampled_from(values))
