"""Learning how to code a partition's rows, and proving on some of them that the codes find what the scan finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minirag.providers.faiss.codes import CodedRows, Selection, StoppedError, one_thread, project
from minirag.providers.faiss.plan import Effort, Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.providers.faiss.rows import Rows
    from minirag.types import Matrix, Vector

__all__ = ["learn", "prove"]

_NEAREST = 10
"""How many true neighbours a trial search must propose."""


def learn(rows: Rows, living: NDArray[np.int64], plan: Plan, stop: Callable[[], bool]) -> CodedRows:
    """Return an engine that has learnt from the living rows and holds no code yet.

    Raises:
        StoppedError: if `stop()` became true.
    """
    import faiss

    random = np.random.default_rng(len(living))  # the same rows are coded alike
    lists = plan.lists(len(living))
    wanted = min(len(living), max(plan.sample, 40 * lists))
    drawn = np.sort(random.choice(living, wanted, replace=False))
    with one_thread():
        sample = random.permutation(_taken(rows, drawn, stop))
        axes = _main_axes(sample[: plan.sample], min(plan.axes, rows.dimension - rows.dimension % 4), stop)
        projected = project(axes, sample)
        quantizer = faiss.IndexFlatL2(len(axes))
        quantizer.add(_centres(projected, lists, plan.rounds, random, stop))
        index: Any = faiss.IndexIVFPQFastScan(
            quantizer, len(axes), lists, len(axes) // 2, 4, faiss.METRIC_INNER_PRODUCT
        )
        index.by_residual = False
        index.cp.niter = plan.rounds
        _check(stop)
        index.train(projected[: plan.sample])
        index = faiss.clone_index(index)  # which owns its quantizer, as the one above does not
    return CodedRows(index, axes, 0, lists, learnt_from=len(living), proved_at=0, effort=Effort(1.0, 1))


def prove(
    coded: CodedRows, rows: Rows, living: NDArray[np.int64], plan: Plan, stop: Callable[[], bool]
) -> CodedRows | None:
    """Return the engine with the least effort that finds what the exact scan finds; None if none does.

    It is asked for rows that it holds and for points half-way between two of them, which are as far from all rows as the
    questions that people ask are.

    Raises:
        StoppedError: if `stop()` became true.
    """
    random = np.random.default_rng(len(living) + 1)
    pairs = rows.take(random.choice(living, 2 * plan.questions)).reshape(2, plan.questions, -1)
    questions = pairs[0].copy()
    questions[::2] += pairs[1][::2]
    lengths = np.sqrt(np.vecdot(questions, questions))
    questions /= np.maximum(lengths, 1e-9)[:, np.newaxis]
    mask = np.zeros(rows.count, dtype=np.bool_)
    mask[living] = True
    bounds = _tenth_scores(questions, rows, mask, stop)
    selection = None if len(living) == rows.count else Selection.of(mask)

    def missed(effort: Effort) -> float:
        _check(stop)
        return 1 - _recall(replace(coded, effort=effort), rows, questions, bounds, selection)

    # Half of what may be missed is left to the candidates, the other half to the lists that are not probed.
    affordable = [count for count in plan.candidates if 8 * count <= len(living)]
    candidates = next((count for count in affordable if missed(Effort(1.0, count)) <= plan.missed / 2), None)
    if candidates is None:
        return None
    share = next((share for share in plan.shares if missed(Effort(share, candidates)) <= plan.missed), 1.0)
    return replace(coded, effort=Effort(share, candidates), proved_at=rows.count)


def _recall(coded: CodedRows, rows: Rows, questions: Matrix, bounds: Vector, selection: Selection | None) -> float:
    """Return the share of the true nearest that the engine proposes with its effort."""
    effort = coded.effort
    probes = max(1, round(effort.share * coded.lists))
    found = 0
    for question, bound in zip(questions, bounds, strict=True):
        proposed = coded.propose(question, effort.candidates, probes, selection)
        scores = np.vecdot(rows.take(proposed), question)
        found += min(_NEAREST, int(np.count_nonzero(scores >= bound - 1e-6)))
    return found / (_NEAREST * len(questions))


def _tenth_scores(questions: Matrix, rows: Rows, mask: NDArray[np.bool_], stop: Callable[[], bool]) -> Vector:
    """Return the score of each question's tenth nearest living row."""
    import faiss

    best = np.full((len(questions), _NEAREST), -4, dtype=np.float32)
    with one_thread():
        for start, block in rows.between(0, rows.count, block=8_192):
            _check(stop)
            alive = mask[start : start + len(block)]
            chosen = block if alive.all() else block[alive]
            if len(chosen):
                scores, _ = faiss.knn(questions, chosen, min(_NEAREST, len(chosen)), metric=faiss.METRIC_INNER_PRODUCT)
                best = np.partition(np.hstack([best, scores]), -_NEAREST, axis=1)[:, -_NEAREST:]
    bounds: Vector = best.min(axis=1)
    return bounds


def _taken(rows: Rows, positions: NDArray[np.int64], stop: Callable[[], bool]) -> Matrix:
    taken = np.empty((len(positions), rows.dimension), dtype=np.float32)
    for start in range(0, len(positions), 8_192):
        _check(stop)
        taken[start : start + 8_192] = rows.take(positions[start : start + 8_192])
    return taken


def _main_axes(sample: Matrix, count: int, stop: Callable[[], bool]) -> Matrix:
    """Return so many orthonormal axes that carry most of the variance of the sample, turned at random.

    The rows' mean is left out: it adds the same to every score. Above 768 dimensions fewer rows are looked at than there
    are dimensions, because then the decomposition is of a matrix of their products, which is smaller.
    """
    import faiss

    _check(stop)
    dimension = sample.shape[1]
    analysis = faiss.PCAMatrix(dimension, count, 0, True)  # noqa: FBT003 - whitening: none; turned at random
    analysis.train(sample if dimension <= 768 else sample[:640])
    axes: Matrix = faiss.vector_to_array(analysis.A).reshape(-1, dimension)[:count].copy()
    return axes


def _centres(points: Matrix, count: int, rounds: int, random: np.random.Generator, stop: Callable[[], bool]) -> Matrix:
    """Return the centres of so many lists: Lloyd's k-means, which can be stopped between blocks of points."""
    import faiss

    centres = points[random.choice(len(points), count, replace=False)]
    for _ in range(rounds):
        index = faiss.IndexFlatL2(points.shape[1])
        index.add(centres)
        sums = np.zeros(centres.shape, dtype=np.float64)
        sizes = np.zeros(count, dtype=np.int64)
        for start in range(0, len(points), 8_192):
            _check(stop)
            block = points[start : start + 8_192]
            nearest = index.search(block, 1)[1][:, 0]
            order = np.argsort(nearest, kind="stable")
            lists, starts = np.unique(nearest[order], return_index=True)
            sums[lists] += np.add.reduceat(block[order], starts, axis=0)
            sizes += np.bincount(nearest, minlength=count)
        full = sizes > 0
        centres = points[random.choice(len(points), count, replace=False)]  # an empty list begins elsewhere
        centres[full] = (sums[full] / sizes[full, np.newaxis]).astype(np.float32)
    return centres


def _check(stop: Callable[[], bool]) -> None:
    if stop():
        raise StoppedError
