"""Opening, closing and forking on the asynchronous face."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import warnings
from pathlib import Path

import pytest

import minirag
from minirag.errors import (
    ForkedWorkspaceError,
    InvalidInputError,
    WorkspaceClosedError,
    WorkspaceStateError,
)
from tests.public.engines import EndlessLLM, run

pytestmark = pytest.mark.usefixtures("no_leaks")


def test_open_is_a_plain_call(folder: Path) -> None:
    """`open` does nothing yet; awaiting it, entering it or the first use of it opens the workspace, once."""

    async def main() -> None:
        lazy = minirag.AsyncWorkspace.open(folder.parent / "not-yet")
        assert not (folder.parent / "not-yet").exists()
        assert "not open yet" in repr(lazy)
        with pytest.raises(WorkspaceStateError, match="await it"):
            lazy.location  # noqa: B018 - reading it is the test
        await lazy.close()
        awaited = await minirag.AsyncWorkspace.open(folder)
        assert repr(awaited) == f"<AsyncWorkspace {str(folder)!r}>"
        await awaited.close()
        first_use = minirag.AsyncWorkspace.open(folder)
        sessions = await asyncio.gather(*(first_use.tenant("acme") for _ in range(20)))
        assert {session.tenant.slug for session in sessions} == {"acme"}
        await first_use.close()
        async with minirag.AsyncWorkspace.from_config({"location": str(folder)}) as configured:
            assert (await configured.tenant("acme")).tenant.slug == "acme"

    run(main)


def test_a_failed_opening_raises_and_leaves_nothing(tmp_path: Path) -> None:
    """What `Workspace.open` raises comes out of `async with`, and out of `await`."""

    async def main() -> None:
        with pytest.raises(minirag.MiniRAGError, match="read_only"):
            async with minirag.AsyncWorkspace.open(tmp_path / "none", read_only=True):
                pass
        with pytest.raises(InvalidInputError, match="durability"):
            await minirag.AsyncWorkspace.open(tmp_path / "none", durability="bogus")  # type: ignore[arg-type]

    run(main)


def test_use_after_close_is_refused(folder: Path) -> None:
    """After `close`, once or twice, every call raises `WorkspaceClosedError`, also of what was made before."""

    async def main() -> None:
        ws = await minirag.AsyncWorkspace.open(folder)
        session = await ws.tenant("acme")
        bot = await session.bot("support")
        answer = await bot.ask("How long may I return a laptop?")
        await ws.close()
        await ws.close()
        for call in (
            lambda: ws.tenant("acme"),
            lambda: session.search("x"),
            lambda: bot.search("x"),
            lambda: bot.add(minirag.DocumentInput(text="x")),
            lambda: bot.ask("x"),
            lambda: answer.citations[0].verify(),
            lambda: ws.tenants.list(),
            lambda: bot.ingest(),
        ):
            with pytest.raises(WorkspaceClosedError):
                await call()
        with pytest.raises(WorkspaceClosedError):
            bot.stream("x")
        with pytest.raises(WorkspaceClosedError):
            async for _ in bot.documents.list():
                pass
        assert "closed" in repr(ws)

    run(main)


def test_closing_before_the_end_of_a_stream_is_quiet(folder: Path) -> None:
    """A stream that is left after its workspace was closed raises nothing and leaks nothing."""
    llm = EndlessLLM()

    async def main() -> None:
        ws = await minirag.AsyncWorkspace.open(folder)
        bot = await (await ws.tenant("acme")).bot("support")
        await bot.update(llm=llm)
        events = (await bot.chat()).stream("How long may I return a laptop?")
        async for event in events:
            if event.type == "delta":
                break
        await ws.close()
        await events.aclose()
        assert llm.open == 0

    run(main)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_is_refused_and_does_not_hang(folder: Path) -> None:
    """The threads did not come along with the fork: the child gets an error at once instead of waiting for them."""
    ws = minirag.AsyncWorkspace.open(folder)

    async def main() -> None:
        await ws.tenant("acme")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.new_event_loop().run_until_complete(main())
        except ForkedWorkspaceError:
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 10
    status = 0, 0
    while status[0] == 0 and time.monotonic() < deadline:
        status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if status[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert status == (child, 0)
    loop.run_until_complete(main())
    loop.run_until_complete(ws.close())
    loop.close()


def test_a_workspace_never_closed_is_warned_of(folder: Path) -> None:
    """Forgetting `close` is a `ResourceWarning` that names the workspace."""

    async def main() -> None:
        await minirag.AsyncWorkspace.open(folder)

    asyncio.run(main())
    time.sleep(0.05)  # until the thread has let go of what it opened
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    # From 3.13 on a connection that is found first adds a warning of its own.
    assert any("was never closed" in str(warning.message) for warning in caught)
