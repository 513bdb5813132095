"""Chat models as the registry makes them, and calls of them at a local server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

import pytest

from minirag.errors import ProviderError
from minirag.interfaces import LLM, LLMChunk, LLMRequest, LLMResponse, ProviderContext
from minirag.plugins import Registry
from tests.servers.vendor_servers import VendorServer

__all__ = ["KEY", "REGISTRY", "failure_of", "make", "opened", "run"]

KEY = "canary-key-5f0c1e"
REGISTRY = Registry.discover(())


def make(name: str, *, api_key: str = KEY, **options: Any) -> LLM:
    """Return a model of this provider, which does not try again what failed."""
    spec = REGISTRY.find("llm", name).spec
    assert spec.options is not None
    context = ProviderContext(credentials={"api_key": api_key} if api_key else {})
    made = resolve_name(spec.options)(**{"model": "small", "max_retries": 0, **options})
    llm: LLM = resolve_name(spec.factory)(made, context)
    return llm


@contextlib.contextmanager
def opened(server: VendorServer, *, name: str = "", **options: Any) -> Iterator[LLM]:
    """Open a model of the server's vendor, or of another that speaks its dialect; it is closed at the end."""
    with contextlib.closing(make(name or server.dialect.name, base_url=server.base_url, **options)) as llm:
        yield llm


def run(llm: LLM, request: LLMRequest, *, way: str) -> LLMResponse:
    """Return the answer; of a streamed one, the texts put together and the last chunk's reason and calls."""

    async def collect() -> list[LLMChunk]:
        return [chunk async for chunk in llm.astream(request)]

    if way == "generate":
        return llm.generate(request)
    if way == "agenerate":
        return asyncio.run(llm.agenerate(request))
    chunks = list(llm.stream(request)) if way == "stream" else asyncio.run(collect())
    assert not any(chunk.tool_calls for chunk in chunks[:-1])
    text, last = "".join(chunk.text for chunk in chunks), chunks[-1]
    return LLMResponse(text, finish_reason=last.finish_reason or "", tool_calls=last.tool_calls)


def failure_of(server: VendorServer, request: LLMRequest, *, way: str, **options: Any) -> ProviderError:
    """Return the error that a call ends with."""
    with opened(server, **options) as llm, pytest.raises(ProviderError) as caught:
        run(llm, request, way=way)
    return caught.value
