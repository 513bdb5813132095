"""`LLM`: a prompt to an answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from minirag.errors import InvalidInputError, ProviderOptionsError
from minirag.interfaces.embedder import estimate_tokens
from minirag.interfaces.tools import TOOL_CHOICES, Tool, ToolCall, check_json

__all__ = ["LLM", "LLMChunk", "LLMRequest", "LLMResponse", "Passage", "PromptMessage", "TokenUsage"]


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of a prompt.

    Attributes:
        role: `tool` for what came of a tool call, whose text is `content`.
        tool_calls: the calls that a message of the role `assistant` made.
        tool_call_id: which call a message of the role `tool` is the result of.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


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
        output_schema: the JSON schema that the answer's text follows; None for free text.
        tools: what the model may call instead of answering.
        tool_choice: `auto` leaves it to the model, `required` makes it call some tool, `none` none, and a tool's name
            that tool.

    Raises:
        InvalidInputError: the schema is not JSON, two tools have one name, `tool_choice` names no tool, or a message is the
            result of a call that no message before it made.
    """

    messages: tuple[PromptMessage, ...]
    question: str = ""
    passages: tuple[Passage, ...] = ()
    max_tokens: int = 1024
    temperature: float = 0.0
    output_schema: Mapping[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"

    def __post_init__(self) -> None:
        if self.output_schema is not None:
            check_json(self.output_schema, what="output_schema")
        names = [tool.name for tool in self.tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidInputError(f"tools: the name {twice[0]!r} is given twice")
        if self.tool_choice not in TOOL_CHOICES and self.tool_choice not in names:
            known = ", ".join(sorted({*TOOL_CHOICES, *names}))
            raise InvalidInputError(f"tool_choice {self.tool_choice!r} is no tool of the request; give one of {known}")
        if self.tool_choice == "required" and not names:
            raise InvalidInputError("tool_choice 'required' needs tools")
        made: set[str] = set()
        for message in self.messages:
            made.update(call.id for call in message.tool_calls)
            if message.role == "tool" and message.tool_call_id not in made:
                problem = f"tool_call_id {message.tool_call_id!r} is no call of the messages before it"
                raise InvalidInputError(f"messages: {problem}; repeat the assistant's message with its tool_calls")


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one call, as the provider counted them."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LLMResponse:
    """A whole answer.

    Attributes:
        finish_reason: `stop`, `length`, `tool_calls`, or the provider's own word.
        tool_calls: the tools that are to be called before the model goes on; there may be text beside them.
    """

    text: str
    usage: TokenUsage = TokenUsage()
    finish_reason: str = "stop"
    model: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class LLMChunk:
    """A piece of a streamed answer; the last one carries usage and finish reason. Tool calls come whole."""

    text: str = ""
    usage: TokenUsage | None = None
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


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
    L9. A request for what the model does not declare, by `structured_output` or `tool_calls`, is refused with a
        `ProviderOptionsError` before anything is called, as `check` does.
    L10. With `output_schema`, the text of an answer that ends with `stop` is one JSON value that follows the schema.
    L11. `tool_calls` are of the request's tools, each with an id of its own and a mapping of arguments; the reason to end
        is then `tool_calls`. The calls in the chunks of a stream are those of one answer: whole, and each once.
    L12. A request that gives calls and their results back is answered.

    Only `name` and `generate` must be written, and `generate` begins with `self.check(request)`.
    """

    reads_prompts: bool = True
    """Whether free instructions are followed; False for an engine that only composes from passages."""

    metered: bool = True
    """Whether its calls are entered in the usage ledger; False for an engine that costs nothing."""

    structured_output: bool = False
    """Whether `LLMRequest.output_schema` is followed."""

    tool_calls: bool = False
    """Whether `LLMRequest.tools` are called, and messages with calls and results understood."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Provider and model, such as `"openai:gpt-4o-mini"`, for answers and the usage ledger."""

    @abstractmethod
    def generate(self, request: LLMRequest) -> LLMResponse:
        """Return the whole answer."""

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        """Yield the answer in pieces; by default in one."""
        yield _chunk_of(self.generate(request))

    async def agenerate(self, request: LLMRequest) -> LLMResponse:
        """Return what `generate` returns, without blocking the event loop; by default in a thread."""
        import asyncio  # not for those who never await: it takes as long as a tenth of opening a workspace

        return await asyncio.to_thread(self.generate, request)

    async def astream(self, request: LLMRequest) -> AsyncIterator[LLMChunk]:
        """Yield what `stream` yields, without blocking the event loop; by default the whole answer at once."""
        yield _chunk_of(await self.agenerate(request))

    def check(self, request: LLMRequest) -> None:
        """Raise `ProviderOptionsError` if the request wants what the model does not declare."""
        calls = request.tools or any(message.tool_calls or message.role == "tool" for message in request.messages)
        for wanted, declared, field in (
            (request.output_schema is not None, self.structured_output, "structured_output"),
            (bool(calls), self.tool_calls, "tool_calls"),
        ):
            if wanted and not declared:
                problem = f"{self.name!r} does not offer {field}, which the request needs"
                message = f"{problem}; choose a model whose `{field}` is True"
                raise ProviderOptionsError(message, provider=self.name.partition(":")[0])

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the model makes of `text`; by default an estimate."""
        return estimate_tokens(text)

    def close(self) -> None:
        """Free what the model holds. Called once by the workspace that made it; never for an instance it was given."""
        return

    async def aclose(self) -> None:
        """Free what the model's asynchronous calls hold, in the event loop that used them."""
        return


def _chunk_of(response: LLMResponse) -> LLMChunk:
    """Return a whole answer as the only piece of a stream."""
    return LLMChunk(response.text, response.usage, response.finish_reason, response.tool_calls)
