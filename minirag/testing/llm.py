"""`LLMConformance`: one test for each clause of `LLM`."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from minirag.errors import ProviderError
from minirag.interfaces.llm import LLM, LLMChunk, LLMRequest, LLMResponse, Passage, PromptMessage
from minirag.testing.llm_tools import ToolClauses

__all__ = ["LLMConformance"]

T = TypeVar("T")
_QUESTIONS = tuple(f"How many days may I return item {number}?" for number in range(8))


class LLMConformance(ToolClauses, ABC):
    """The contract of `minirag.interfaces.LLM` as tests. Subclass it in a test module, and pytest does the rest.

    ```python
    class TestMine(LLMConformance):
        def make_llm(self):
            return Mine()
    ```

    A test names the clause it holds; its message begins with it. L10 to L12 are for models that declare
    `structured_output` or `tool_calls`.
    """

    deterministic: bool = True
    """Whether the same request gives the same text again. If not, texts are only checked to be there."""

    counts_tokens: bool = True
    """Whether the provider counts tokens, so that answers and streams must carry a usage."""

    credential: str | None = None
    """The secret that `make_failing_llm` gives its model, which no message may hold."""

    @abstractmethod
    def make_llm(self) -> LLM:
        """Return a new model that works."""

    def make_failing_llm(self) -> LLM | None:
        """Return a model whose every call fails, or None to leave out L6."""
        return None

    def make_request(self, question: str = _QUESTIONS[0]) -> LLMRequest:
        """Return a request with a question and two passages."""
        passages = (
            Passage(number=1, text="Items may be returned within 30 days.", title="Returns", score=0.8),
            Passage(number=2, text="Delivery takes three days.", title=None, score=0.4),
        )
        sources = "\n".join(f"[{passage.number}] {passage.text}" for passage in passages)
        messages = (
            PromptMessage(role="system", content="Answer from the sources and cite them."),
            PromptMessage(role="user", content=f"{sources}\n\n{question}"),
        )
        return LLMRequest(messages=messages, question=question, passages=passages, max_tokens=64)

    def test_l1_generate_returns_text(self) -> None:
        """L1: `generate` returns an `LLMResponse` whose text is a str."""
        with self._opened() as llm:
            response = llm.generate(self.make_request())
        assert isinstance(response, LLMResponse), f"L1: generate returned a {type(response).__name__}"
        assert isinstance(response.text, str), f"L1: the text is a {type(response.text).__name__}"
        assert not self.counts_tokens or response.usage.output_tokens > 0, "L1: no tokens were counted"

    def test_l2_stream_is_one_answer(self) -> None:
        """L2: the pieces of a stream, joined, are one answer's text, and at least one comes."""
        with self._opened() as llm:
            chunks = list(llm.stream(self.make_request()))
            whole = llm.generate(self.make_request()).text
        self._check_pieces(chunks, whole, clause="L2")

    def test_l3_stream_ends_with_reason_and_usage(self) -> None:
        """L3: the last chunk carries a finish reason; a usage comes once."""
        with self._opened() as llm:
            self._check_end(list(llm.stream(self.make_request())), clause="L3")

    def test_l4_agenerate_returns_what_generate_does(self) -> None:
        """L4: `agenerate` returns what `generate` returns."""
        with self._opened() as llm:
            whole = llm.generate(self.make_request())
            response = self._run(llm, llm.agenerate(self.make_request()))
        assert isinstance(response, LLMResponse), f"L4: agenerate returned a {type(response).__name__}"
        assert isinstance(response.text, str), f"L4: the text is a {type(response.text).__name__}"
        assert not self.deterministic or response.text == whole.text, "L4: agenerate and generate differ"

    def test_l4_astream_yields_what_stream_does(self) -> None:
        """L4: `astream` yields what `stream` yields."""
        with self._opened() as llm:
            whole = llm.generate(self.make_request()).text
            chunks = self._run(llm, _collect(llm.astream(self.make_request())))
        self._check_pieces(chunks, whole, clause="L4")
        self._check_end(chunks, clause="L4")

    def test_l4_concurrent_calls_in_one_loop(self) -> None:
        """L4: calls that overlap in one event loop each get their own answer."""

        async def ask_all(llm: LLM) -> list[LLMResponse]:
            return await asyncio.gather(*(llm.agenerate(self.make_request(question)) for question in _QUESTIONS))

        with self._opened() as llm:
            expected = [llm.generate(self.make_request(question)).text for question in _QUESTIONS]
            responses = self._run(llm, ask_all(llm))
        texts = [response.text for response in responses]
        assert not self.deterministic or texts == expected, "L4: answers of overlapping calls were mixed up"

    def test_l5_stream_may_be_closed_early(self) -> None:
        """L5: closing a stream before or after its first chunk ends the call, and the model works on."""
        with self._opened() as llm:
            for taken in (0, 1):
                stream: Any = llm.stream(self.make_request())
                for _ in range(taken):
                    next(stream)
                assert hasattr(stream, "close"), "L5: the stream has no close()"
                with _no_problem("L5: close() raised"):
                    stream.close()
                assert next(stream, None) is None, "L5: the stream went on after close()"
            assert isinstance(llm.generate(self.make_request()).text, str), "L5: the model is unusable after close()"

    def test_l5_astream_may_be_closed_early(self) -> None:
        """L5: closing an asynchronous stream early ends the call, and the model works on."""

        async def leave_early(llm: LLM) -> LLMResponse:
            for taken in (0, 1):
                stream: Any = llm.astream(self.make_request())
                for _ in range(taken):
                    await anext(stream)
                assert hasattr(stream, "aclose"), "L5: the stream has no aclose()"
                with _no_problem("L5: aclose() raised"):
                    await stream.aclose()
                assert await anext(stream, None) is None, "L5: the stream went on after aclose()"
            return await llm.agenerate(self.make_request())

        with self._opened() as llm:
            assert isinstance(self._run(llm, leave_early(llm)).text, str), "L5: the model is unusable after aclose()"

    @pytest.mark.parametrize("way", ["generate", "stream", "agenerate", "astream"])
    def test_l6_failures_are_provider_errors(self, way: str) -> None:
        """L6: a failure is a `ProviderError` with `retryable` set, whose messages hold no credential."""
        llm = self.make_failing_llm()
        if llm is None:
            pytest.skip("make_failing_llm is not given")
        request = self.make_request()
        with contextlib.closing(llm):
            problem = _problem_of(lambda: self._call(llm, request, way=way))
        assert isinstance(problem, ProviderError), f"L6: {way} raised {type(problem).__name__}, not a ProviderError"
        assert isinstance(problem.retryable, bool), f"L6: retryable is {problem.retryable!r}"
        for text in _texts(problem):
            assert self.credential is None or self.credential not in text, "L6: a message holds the credential"

    def test_l7_threads_get_their_own_answers(self) -> None:
        """L7: `generate` and `stream` work from several threads at once."""
        with self._opened() as llm, ThreadPoolExecutor(4) as threads:
            requests = [self.make_request(question) for question in _QUESTIONS]
            expected = [llm.generate(request).text for request in requests]
            whole = list(threads.map(lambda request: llm.generate(request).text, requests))
            joined = list(threads.map(lambda request: _join(llm.stream(request)), requests))
        for texts in (whole, joined):
            assert all(isinstance(text, str) for text in texts), "L7: a text is no str"
            assert not self.deterministic or texts == expected, "L7: answers of several threads were mixed up"

    def test_l8_name_is_stable(self) -> None:
        """L8: `name` is a non-empty str, the same at every call and for a model made alike."""
        with self._opened() as llm, self._opened() as other:
            names = [llm.name, llm.name, other.name]
            llm.generate(self.make_request())
            names.append(llm.name)
        assert all(isinstance(name, str) for name in names), "L8: the name is no str"
        assert all(names), "L8: the name is empty"
        assert len(set(names)) == 1, f"L8: the name changes: {names!r}"

    @contextlib.contextmanager
    def _opened(self) -> Iterator[LLM]:
        with contextlib.closing(self.make_llm()) as llm:
            yield llm

    def _run(self, llm: LLM, work: Coroutine[Any, Any, T]) -> T:
        async def run_and_close() -> T:
            try:
                return await work
            finally:
                await llm.aclose()

        return asyncio.run(run_and_close())

    def _call(self, llm: LLM, request: LLMRequest, *, way: str) -> object:
        if way == "generate":
            return llm.generate(request)
        if way == "stream":
            return list(llm.stream(request))
        if way == "agenerate":
            return self._run(llm, llm.agenerate(request))
        return self._run(llm, _collect(llm.astream(request)))

    def _check_pieces(self, chunks: list[LLMChunk], whole: str, *, clause: str) -> None:
        assert chunks, f"{clause}: the stream is empty"
        assert all(isinstance(chunk, LLMChunk) for chunk in chunks), f"{clause}: a piece is no LLMChunk"
        assert all(isinstance(chunk.text, str) for chunk in chunks), f"{clause}: a piece's text is no str"
        joined = "".join(chunk.text for chunk in chunks)
        assert not self.deterministic or joined == whole, f"{clause}: the pieces joined are not the answer's text"

    def _check_end(self, chunks: list[LLMChunk], *, clause: str) -> None:
        assert chunks, f"{clause}: the stream is empty"
        assert chunks[-1].finish_reason, f"{clause}: the last chunk has no finish_reason"
        counted = [chunk for chunk in chunks if chunk.usage is not None]
        assert len(counted) <= 1, f"{clause}: the usage came {len(counted)} times"
        assert counted or not self.counts_tokens, f"{clause}: no usage came"


async def _collect(stream: AsyncIterator[LLMChunk]) -> list[LLMChunk]:
    return [chunk async for chunk in stream]


def _join(stream: Iterator[LLMChunk]) -> str:
    return "".join(chunk.text for chunk in stream)


@contextlib.contextmanager
def _no_problem(message: str) -> Iterator[None]:
    try:
        yield
    except Exception as problem:
        raise AssertionError(f"{message} {type(problem).__name__}") from problem


def _problem_of(call: Any) -> BaseException | None:
    try:
        call()
    except Exception as problem:  # noqa: BLE001  whatever comes is what is to be judged
        return problem
    return None


def _texts(problem: BaseException | None) -> Iterator[str]:
    """Yield everything a traceback would show of an exception and those behind it."""
    while problem is not None:
        yield f"{problem} {problem!r} {getattr(problem, '__notes__', '')}"
        problem = problem.__cause__ or problem.__context__
