"""`LLM`: a prompt to an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

from minirag.interfaces.embedder import estimate_tokens

__all__ = ["LLM", "LLMChunk", "LLMRequest", "LLMResponse", "Passage", "PromptMessage", "TokenUsage"]


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieved chunk, numbered as the prompt numbers it.

    The messages hold the same text, fenced as data; a provider that reads no prose (such as `extractive`) takes
    it from here.
    """

    number: int
    text: str
    title: str | None
    score: float
    """The hit's score as a cosine in [-1, 1] where dense search took part, else 0."""


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """What a model is asked.

    Attributes:
        question: the question alone, as it was searched for.
        passages: the retrieved chunks; empty for a request that is not about documents.
        max_tokens: how many tokens the answer may have.
    """

    messages: tuple[PromptMessage, ...]
    question: str = ""
    passages: tuple[Passage, ...] = ()
    max_tokens: int = 1024
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one call, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LLMResponse:
    """A whole answer.

    Attributes:
        finish_reason: `stop`, `length`, or the provider's own word.
    """

    text: str
    usage: TokenUsage = TokenUsage()
    finish_reason: str = "stop"
    model: str = ""


@dataclass(frozen=True, slots=True)
class LLMChunk:
    """A piece of a streamed answer; the last one carries usage and finish reason."""

    text: str = ""
    usage: TokenUsage | None = None
    finish_reason: str | None = None


class LLM(ABC):
    """Answers a prompt.

    Clauses, each held by `minirag.testing.LLMConformance`:

    L1. `generate` returns an `LLMResponse` whose text is a str.
    L2. The texts of `stream`, joined, are what one answer's text would be; at least one chunk comes.
    L3. The last chunk of a stream carries a `finish_reason`; usage, where the provider counts it, comes once.
    L4. `agenerate` and `astream` behave as `generate` and `stream` do.
    L5. Closing a stream early (`close`, `aclose`) ends the call and raises nothing.
    L6. Failures are `minirag.errors.ProviderError`, with `retryable` set; no message holds a credential.
    L7. `generate` and `stream` may be called from several threads at once.
    L8. `name` is a non-empty str and the same at every call.

    Only `name` and `generate` must be written.
    """

    reads_prompts: bool = True
    """Whether free instructions are followed; False for an engine that only composes from passages."""

    metered: bool = True
    """Whether its calls are entered in the usage ledger; False for an engine that costs nothing."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Provider and model, such as `"openai:gpt-4o-mini"`, for answers and the usage ledger."""

    @abstractmethod
    def generate(self, request: LLMRequest) -> LLMResponse:
        """Return the whole answer."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        """Yield the answer in pieces; by default in one."""
        response = self.generate(request)
        yield LLMChunk(text=response.text, usage=response.usage, finish_reason=response.finish_reason)

    async def agenerate(self, request: LLMRequest) -> LLMResponse:
        """Return what `generate` returns, without blocking the event loop; by default in a thread."""
        import asyncio  # not for those who never await: it takes as long as a tenth of opening a workspace

        return await asyncio.to_thread(self.generate, request)

    async def astream(self, request: LLMRequest) -> AsyncIterator[LLMChunk]:
        """Yield what `stream` yields, without blocking the event loop; by default the whole answer at once."""
        response = await self.agenerate(request)
        yield LLMChunk(text=response.text, usage=response.usage, finish_reason=response.finish_reason)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`; by default an estimate."""
        return estimate_tokens(text)

    def close(self) -> None:
        """Free what the model holds. Called once by the workspace that made it; never for an instance it was given."""
        return

    async def aclose(self) -> None:
        """Free what the model's asynchronous calls hold, in the event loop that used them."""
        return
