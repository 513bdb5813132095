"""The chat models of every vendor keep the clauses of `LLM`, against a local server that speaks the vendor's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from minirag.interfaces import LLM
from minirag.testing.llm import LLMConformance
from tests.providers.chat_models import KEY, make
from tests.servers.vendor_servers import DIALECTS, OPENAI, Dialect, VendorServer
from tests.servers.vendor_tools import Calls


def _wants_json(body: Any) -> bool:
    """Return whether the request, in whatever dialect, has a schema for its answer."""
    return bool(
        body.keys() & {"response_format", "output_config", "format"}
        or "responseJsonSchema" in body.get("generationConfig", {})
    )


def _has_results(body: Any) -> bool:
    """Return whether the request ends with the results of tool calls."""
    if "contents" in body:
        return "functionResponse" in body["contents"][-1]["parts"][0]
    last = body["messages"][-1]
    return last["role"] == "tool" or isinstance(last["content"], list)


class _VendorConformance(LLMConformance):
    """The clauses of `LLM`, for one vendor's model."""

    dialect: Dialect
    credential = KEY

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _served(cls) -> Iterator[None]:
        def answer(body: Any) -> Any:
            if _wants_json(body):
                return '{"days": 30}'
            if "tools" in body and not _has_results(body):
                return Calls((("a", "look_up_order", {"number": "A-17"}), ("b", "look_up_order", {"number": "B 2"})))
            if _has_results(body):
                return "It was sent on Monday."
            message = body["messages"][-1] if "messages" in body else body["contents"][-1]
            return f"Yes [1]: {message.get('content') or message['parts'][0]['text']}"

        with VendorServer(cls.dialect, answer=answer, api_key=KEY) as cls.server:
            yield

    server: VendorServer

    def make_llm(self) -> LLM:
        return make(self.dialect.name, base_url=self.server.base_url)

    def make_failing_llm(self) -> LLM:
        self.server.script(self.server.refusal(401, f"Wrong key: {KEY}"))
        return self.make_llm()


class TestAnthropicConformance(_VendorConformance):
    """Anthropic's model keeps every clause."""

    dialect = DIALECTS[0]


class TestAzureConformance(_VendorConformance):
    """Azure's model keeps every clause."""

    dialect = DIALECTS[1]


class TestCohereConformance(_VendorConformance):
    """Cohere's model keeps every clause."""

    dialect = DIALECTS[2]


class TestGeminiConformance(_VendorConformance):
    """Google's model keeps every clause."""

    dialect = DIALECTS[3]


class TestOllamaConformance(_VendorConformance):
    """Ollama's model keeps every clause."""

    dialect = DIALECTS[4]


class TestOpenAIConformance(_VendorConformance):
    """A model behind OpenAI's protocol keeps every clause."""

    dialect = OPENAI
