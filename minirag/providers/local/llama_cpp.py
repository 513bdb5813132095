"""`LlamaCpp`: a language model in a GGUF file, run by llama.cpp in this process."""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from minirag.errors import (
    InvalidInputError,
    ProviderError,
    ProviderNotInstalledError,
    ProviderOptionsError,
    ProviderRequestError,
)
from minirag.interfaces.llm import LLM, LLMChunk, LLMRequest, LLMResponse, TokenUsage
from minirag.interfaces.specs import ProviderContext
from minirag.models.base import InputModel
from minirag.providers.local.onnx_runtime import usable_cores
from minirag.providers.local.shared_models import SharedModel

__all__ = ["LlamaCpp", "LlamaCppOptions", "create"]

_PROVIDER: Final = "llama-cpp"
_MAGIC: Final = b"GGUF"
_END: Final = None


class LlamaCppOptions(InputModel):
    """Options of the LLM `llama-cpp`.

    Attributes:
        model: path of the GGUF file.
        context: tokens that prompt and answer may have together; 0 for as many as the model was trained for.
        threads: threads that compute; by default one a core that may be used.
        gpu_layers: layers that are put on a GPU, if the installed package can.
        seed: makes answers at a temperature above 0 repeatable.
    """

    error: ClassVar[type[InvalidInputError]] = ProviderOptionsError

    model: str = Field(min_length=1, max_length=4_000)
    context: int = Field(default=4_096, ge=0, le=1_048_576, strict=True)
    threads: int | None = Field(default=None, ge=1, le=256, strict=True)
    gpu_layers: int = Field(default=0, ge=0, le=1_000, strict=True)
    seed: int = Field(default=1, ge=0, le=2**32 - 2, strict=True)


class LlamaCpp(LLM):
    """A chat model in a GGUF file, by the package `xllamacpp`.

    The model is loaded at the first question and shared by all instances of a process that name the same file with the
    same options. It answers one question at a time; others wait. The same question at temperature 0 gets the same answer.

    The package cannot do without a listener, which is on the loopback and wants a key that nobody is told.
    """

    def __init__(self, options: LlamaCppOptions) -> None:
        """Find the file.

        Raises:
            ProviderOptionsError: if it is not there, or is no GGUF file.
        """
        self._path = Path(options.model).resolve()
        _check_file(self._path)
        self._options = options
        self._threads = options.threads or usable_cores()
        state = self._path.stat()
        key = (str(self._path), state.st_size, state.st_mtime_ns, options.context, self._threads, options.gpu_layers)
        self._model: SharedModel[Any] = SharedModel(self._load, key=key, provider=_PROVIDER)

    @property
    def name(self) -> str:
        return f"{_PROVIDER}:{self._path.stem}"

    def generate(self, request: LLMRequest) -> LLMResponse:
        return _joined(list(self.stream(request)), model=self.name)

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        """Yield the answer as it is written. Closing the iterator stops the model at its next token."""
        self.check(request)
        pieces: queue.SimpleQueue[LLMChunk | BaseException | None] = queue.SimpleQueue()
        call = _Call(self._model, self._fields(request), pieces.put)
        try:
            while (piece := pieces.get()) is not _END:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            call.stop()
            call.join()

    async def agenerate(self, request: LLMRequest) -> LLMResponse:
        """Return the whole answer. Cancelling the task stops the model at its next token."""
        return _joined([chunk async for chunk in self.astream(request)], model=self.name)

    async def astream(self, request: LLMRequest) -> AsyncIterator[LLMChunk]:
        """Yield the answer as it is written. Closing the iterator stops the model at its next token."""
        self.check(request)
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[LLMChunk | BaseException | None] = asyncio.Queue()

        def put(piece: LLMChunk | BaseException | None) -> None:
            try:
                loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except RuntimeError:  # the loop was closed before the model saw that nobody listens any more
                call.stop()

        call = _Call(self._model, self._fields(request), put)
        try:
            while (piece := await pieces.get()) is not _END:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            call.stop()

    def close(self) -> None:
        """Let go of the model; the last instance to do so frees it, once the answers that were begun have ended."""
        self._model.close()

    def _fields(self, request: LLMRequest) -> dict[str, Any]:
        return {
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": self._options.seed,
            # What is computed from a prompt's remembered beginning differs in the last bits, and now and then in a word.
            "cache_prompt": False,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _load(self) -> Any:
        try:
            import xllamacpp
        except ImportError as problem:
            message = f"The provider {_PROVIDER!r} needs 'xllamacpp'. Run: pip install \"minirag-core[llama-cpp]\""
            raise ProviderNotInstalledError(message, provider=_PROVIDER) from problem
        _check_file(self._path)
        settings = xllamacpp.CommonParams()
        settings.model.path = str(self._path)
        settings.hostnames = ["127.0.0.1"]
        settings.port = 0
        settings.api_keys = [secrets.token_urlsafe(32)]
        settings.n_ctx = self._options.context
        settings.n_parallel = 1
        settings.n_gpu_layers = self._options.gpu_layers
        settings.warmup = False
        settings.verbosity = 0
        for threads in (settings.cpuparams, settings.cpuparams_batch):
            threads.n_threads = self._threads
            threads.poll = 0  # waiting threads sleep: the host has other work for the cores
        try:
            return xllamacpp.Server(settings)
        except RuntimeError as problem:
            message = (
                f"{_PROVIDER}: llama.cpp cannot load {str(self._path)!r}: it is damaged, cut short, no language model, of a"
                " newer format (run: pip install --upgrade xllamacpp), or memory is short for this context"
            )
            raise ProviderError(message, provider=_PROVIDER) from problem


class _Call:
    """One answer, written by a thread of its own, which llama.cpp calls back at each token."""

    def __init__(
        self,
        model: SharedModel[Any],
        fields: dict[str, Any],
        put: Callable[[LLMChunk | BaseException | None], None],
    ) -> None:
        self._model = model
        self._fields = fields
        self._put = put
        self._stopped = threading.Event()
        self._reason = ""
        self._usage = TokenUsage()
        self._failure: ProviderError | None = None
        self._thread = threading.Thread(target=self._run, name=_PROVIDER)
        self._thread.start()

    def stop(self) -> None:
        """Have the model stop at its next token."""
        self._stopped.set()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._model.get().handle_chat_completions(self._fields, self._take)
            if self._failure is not None:
                self._put(self._failure)
            elif not self._stopped.is_set():
                self._put(LLMChunk(usage=self._usage, finish_reason=self._reason or "stop"))
        except ProviderError as problem:
            self._put(problem)
        except Exception as problem:  # noqa: BLE001 - a thread's exception must reach whoever waits, whatever it is
            failure = ProviderError(f"{_PROVIDER}: the model failed with {type(problem).__name__}", provider=_PROVIDER)
            failure.__cause__ = problem
            self._put(failure)
        finally:
            self._put(_END)

    def _take(self, event: dict[str, Any]) -> bool:
        """Pass on what llama.cpp says; return whether it shall stop. What is raised here, the package would swallow."""
        if "error" in event:
            self._failure = _failure(event["error"])
            return True
        if usage := event.get("usage"):
            self._usage = TokenUsage(
                input_tokens=int(usage.get("prompt_tokens", 0)), output_tokens=int(usage.get("completion_tokens", 0))
            )
        for choice in event.get("choices", ()):
            self._reason = choice.get("finish_reason") or self._reason
            if text := choice.get("delta", {}).get("content"):
                self._put(LLMChunk(text=text))
        return self._stopped.is_set()


def create(options: LlamaCppOptions, context: ProviderContext) -> LlamaCpp:  # noqa: ARG001 - needs no credentials
    """Return the model that `options` describe."""
    return LlamaCpp(options)


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as problem:
        what = "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "cannot be read"
        message = f"{_PROVIDER}: the model {str(path)!r} {what}; give the path of a GGUF file"
        raise ProviderOptionsError(message, provider=_PROVIDER) from problem
    if magic != _MAGIC:
        message = f"{_PROVIDER}: {str(path)!r} is no GGUF file; llama.cpp runs models of that format"
        raise ProviderOptionsError(message, provider=_PROVIDER)


def _failure(error: dict[str, Any]) -> ProviderError:
    """Return what llama.cpp refused as an error of ours. Its own words are left out: they may quote the prompt."""
    status = error.get("code") if isinstance(error.get("code"), int) else None
    if error.get("type") == "exceed_context_size_error":
        message = (
            f"{_PROVIDER}: the prompt has {error.get('n_prompt_tokens')} tokens, the context {error.get('n_ctx')}; raise the"
            " option context=, or lower the bot's context_tokens"
        )
        return ProviderRequestError(message, provider=_PROVIDER, status=status)
    kind = str(error.get("type", "error"))[:100]
    message = f"{_PROVIDER}: llama.cpp refused the request: {kind}"
    return (ProviderRequestError if status and 400 <= status < 500 else ProviderError)(
        message, provider=_PROVIDER, status=status
    )


def _joined(chunks: list[LLMChunk], *, model: str) -> LLMResponse:
    last = chunks[-1]
    return LLMResponse(
        text="".join(chunk.text for chunk in chunks),
        usage=last.usage or TokenUsage(),
        finish_reason=last.finish_reason or "stop",
        model=model,
    )
