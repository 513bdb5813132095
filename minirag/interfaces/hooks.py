"""What a plugin can add. This file answers "what can I extend?".

A plugin is an installed package with an entry point in the group `minirag`:

```toml
[project.entry-points.minirag]
acme = "acme_minirag.plugin"
```

The entry point names a module (or an object) whose functions, marked with `hookimpl`, return lists of records:

```python
from minirag.interfaces import ProviderSpec, hookimpl

@hookimpl
def minirag_embedders():
    return [ProviderSpec(name="acme", factory="acme_minirag.embedder:create", options="acme_minirag.embedder:Options")]
```

No hook sits on the data path: what could rewrite a query could drop its tenant.
"""

from __future__ import annotations

from typing import Final

import pluggy

from minirag.interfaces.specs import ProviderKind, ProviderSpec

__all__ = ["HOOKS", "hookspec"]

hookspec = pluggy.HookspecMarker("minirag")


@hookspec
def minirag_storages() -> list[ProviderSpec]:
    """Return databases: factories of `Storage`."""
    return []


@hookspec
def minirag_vector_indexes() -> list[ProviderSpec]:
    """Return vector indexes: factories of `VectorIndex`."""
    return []


@hookspec
def minirag_embedders() -> list[ProviderSpec]:
    """Return embedders: factories of `Embedder`."""
    return []


@hookspec
def minirag_llms() -> list[ProviderSpec]:
    """Return language models: factories of `LLM`."""
    return []


@hookspec
def minirag_rerankers() -> list[ProviderSpec]:
    """Return rerankers: factories of `Reranker`."""
    return []


@hookspec
def minirag_parsers() -> list[ProviderSpec]:
    """Return parsers: factories of `Parser`, with the extensions and media types they read."""
    return []


@hookspec
def minirag_chunkers() -> list[ProviderSpec]:
    """Return chunkers: factories of `Chunker`."""
    return []


HOOKS: Final[dict[str, ProviderKind]] = {
    "minirag_storages": "storage",
    "minirag_vector_indexes": "vector_index",
    "minirag_embedders": "embedder",
    "minirag_llms": "llm",
    "minirag_rerankers": "reranker",
    "minirag_parsers": "parser",
    "minirag_chunkers": "chunker",
}
