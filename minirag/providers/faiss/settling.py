"""What `optimize` does beside searches: rows are coded, codes learnt anew, dead rows squeezed out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from minirag.providers.faiss.codes import CodedRows, StoppedError
from minirag.providers.faiss.keys import run_of
from minirag.providers.faiss.plan import Plan
from minirag.providers.faiss.rows import RowsWriter
from minirag.providers.faiss.state import State

__all__ = ["Settled", "settle", "squeezed", "to_settle"]

_BLOCK: Final = 4_096


@dataclass(frozen=True, slots=True)
class Settled:
    """What is to take the place of a state's parts.

    Attributes:
        coded: the codes from now on, if any.
        moved: the rows from now on, if dead ones were squeezed out.
        refused: how many rows there were when codes were found not to pay; 0 if they do.
    """

    coded: CodedRows | None
    moved: State | None
    refused: int


def to_settle(state: State, plan: Plan, *, refused: int) -> int:
    """Return how many rows are to be coded or squeezed out; 0 while neither pays.

    Args:
        refused: how many rows there were when codes were found not to pay. They are tried again with twice as many.
    """
    dead = len(state.keys) - state.live
    pending = dead if plan.squeezes(dead, state.live) else 0
    dimension = state.rows.dimension
    if state.coded is not None:
        pending += state.tail if state.tail > plan.tail(dimension) else 0
    elif plan.codes(state.live, dimension) and state.live >= 2 * refused:
        pending += state.live
    return pending


def settle(state: State, plan: Plan, stop: Callable[[], bool], *, refused: int) -> Settled | None:
    """Return what takes the place of the state's parts; None if nothing is to be done, or `stop()` became true."""
    if not to_settle(state, plan, refused=refused):
        return None
    try:
        moved = None
        if plan.squeezes(len(state.keys) - state.live, state.live):
            state = moved = squeezed(state, stop)
        if not plan.codes(state.live, state.rows.dimension):
            return Settled(None, moved, 0)
        coded = _coded(state, plan, stop, renumbered=moved is not None)
        return Settled(coded, moved, state.live if coded is None else 0)
    except StoppedError:
        return None


def squeezed(state: State, stop: Callable[[], bool]) -> State:
    """Return the living rows alone, in memory, with the codes of before.

    Raises:
        StoppedError: if `stop()` became true.
    """
    living = state.living()
    keys = state.keys[living]
    writer = RowsWriter(state.rows.dimension)
    for start in range(0, len(living), _BLOCK):
        if stop():
            raise StoppedError
        writer.append(state.rows.take(living[start : start + _BLOCK]))
    runs = (run_of(keys, 0, None),) if len(keys) else ()
    return State(keys, writer.show(), runs, None, len(keys), state.coded)


def _coded(state: State, plan: Plan, stop: Callable[[], bool], *, renumbered: bool) -> CodedRows | None:
    """Return codes of all rows, or None if they do not find what the scan finds."""
    from minirag.providers.faiss.learning import learn, prove

    living = state.living()
    before = state.coded
    if before is not None and state.live < plan.outgrown * before.learnt_from:
        coded = before.extended(state.rows, stop, anew=renumbered)
        if coded.count < before.proved_at * 3 // 2:
            return coded
        proved = prove(coded, state.rows, living, plan, stop)
        if proved is not None:
            return proved
    coded = learn(state.rows, living, plan, stop).extended(state.rows, stop)
    return prove(coded, state.rows, living, plan, stop)
