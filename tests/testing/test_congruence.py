"""Workspaces of different parts give the same results and the same errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import minirag
from minirag.testing import CongruenceError, check_congruence
from minirag.testing.congruence import _outcome, _Place, _programme
from tests.services.remote_index import RemoteIndex, RemotePartition, Server


@pytest.fixture
def workspaces(tmp_path: Path) -> Iterator[Any]:
    """Return a function that opens a workspace for each index given."""
    with ExitStack() as stack:

        def opened(*indexes: Any) -> list[minirag.Workspace]:
            return [
                stack.enter_context(minirag.Workspace.open(tmp_path / str(n), index=index, embedder="hashing"))
                for n, index in enumerate(indexes)
            ]

        yield opened


@pytest.mark.parametrize("seed", range(2))
def test_a_remote_index_answers_as_the_embedded_one(workspaces: Any, seed: int) -> None:
    """Whatever the programme does."""
    assert check_congruence(*workspaces("faiss", RemoteIndex(Server())), seed=seed) > 100


def test_a_difference_is_named(workspaces: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that loses a key is found out, with the call and both outcomes."""
    apply = RemotePartition.apply
    monkeypatch.setattr(RemotePartition, "apply", lambda self, gone, came, rows: apply(self, gone, came[1:], rows[1:]))
    with pytest.raises(CongruenceError, match=r"call \d+ of programme 0: .*(search|send|ask)"):
        check_congruence(*workspaces("faiss", RemoteIndex(Server())))


def test_the_programme_reaches_what_it_is_to_compare(workspaces: Any) -> None:
    """Its searches find, its answers cite, and its errors are of several kinds."""
    import random

    (workspace,) = workspaces("faiss")
    place = _Place(workspace)
    outcomes = [(step.says, _outcome(step, place)) for step in _programme(random.Random(0), 100)]
    errors = {result[0] for _, result in outcomes if isinstance(result, tuple) and isinstance(result[0], str)}
    assert {"FilterError", "DocumentNotFoundError", "SourceNotFoundError"} <= errors
    assert sum(bool(result) for says, result in outcomes if "search" in says) > 20
    assert any(result[1] for says, result in outcomes if " ask " in says)
