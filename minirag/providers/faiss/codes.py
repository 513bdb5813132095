"""Coded rows: a small picture of each row, in lists of like ones, that tells which rows are worth an exact score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from minirag.interfaces.snapshots import SnapshotDamagedError, SnapshotReader, SnapshotWriter
from minirag.providers.faiss.plan import Effort

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from minirag.providers.faiss.rows import Rows
    from minirag.types import Matrix, Vector

__all__ = ["CodedRows", "Selection", "StoppedError", "one_thread"]

_BLOCK: Final = 4_096
"""Rows coded at once: some 40 ms at 384 dimensions, so that a request to stop is soon heard."""


class StoppedError(Exception):
    """Building was asked to stop. Never leaves `optimize`."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The coded rows that may be proposed, as FAISS wants them: a bit a row.

    Attributes:
        count: how many there are.
    """

    bits: NDArray[np.uint8]
    selector: Any
    count: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Selection:
        """Return the rows at which the mask is true."""
        import faiss

        bits = np.packbits(mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits))
        return cls(bits, selector, int(np.count_nonzero(mask)))


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Rows 0 to `count` of a partition, projected to a few axes and quantized to four bits a pair of them, or each of them if there are few.

    A product quantizer whose codes are compared 32 at a time in registers (André, Kermarrec and Le Scouarnec, "Quicker ADC",
    2019; `IndexIVFPQFastScan`), over the main axes of the rows, turned at random so that each carries a like share (as in
    Jégou et al., "Aggregating local descriptors into a compact image representation", 2010). Codes are of the rows themselves
    and not of their distance to a list's centre, so that one table of products serves all lists of a search.

    Nothing of it changes once it is made: `extended` returns another.

    Attributes:
        index: the codes in lists, `faiss.IndexIVFPQFastScan`; its ids are positions.
        axes: float32 `(m, dimension)`, orthonormal.
        learnt_from: how many rows there were when axes, lists and codes were learnt.
        proved_at: how many rows there were when `effort` was chosen.
        nbytes: the memory it takes.
    """

    index: Any
    axes: Matrix
    count: int
    lists: int
    learnt_from: int
    proved_at: int
    effort: Effort

    name: str = "ivf-pq"

    @property
    def nbytes(self) -> int:
        """The memory of codes and ids, centres and axes."""
        row = self.index.code_size + 8
        return int(self.count * row + self.lists * (4 * len(self.axes) + 16 * row) + self.axes.nbytes)

    def propose(self, query: Vector, count: int, probes: int, selection: Selection | None) -> NDArray[np.int64]:
        """Return the positions of the rows with the best codes in the nearest lists, best first, at most `count`.

        One query keeps to the calling thread, whatever number of threads OpenMP is set to.
        """
        import faiss

        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = probes
        if selection is not None:
            parameters.sel = selection.selector
        projected = np.vecdot(self.axes, query)[np.newaxis]
        found: NDArray[np.int64] = self.index.search(projected, count, params=parameters)[1][0]
        return found[: np.count_nonzero(found >= 0)]

    def extended(self, rows: Rows, stop: Callable[[], bool], *, anew: bool = False) -> CodedRows:
        """Return codes of all these rows, the first of which are coded already; `anew` if none is to be taken over.

        Raises:
            StoppedError: if `stop()` became true.
        """
        import faiss

        with one_thread():
            index = faiss.clone_index(self.index)
            if anew:
                index.reset()
            for _, block in rows.between(index.ntotal, rows.count, block=_BLOCK):
                if stop():
                    raise StoppedError
                index.add(project(self.axes, block))
        return replace(self, index=index, count=rows.count)

    def write(self, writer: SnapshotWriter) -> None:
        """Put it into a snapshot."""
        import faiss

        numbers = [self.count, self.lists, self.learnt_from, self.proved_at, self.effort.candidates]
        writer.put("codes", faiss.serialize_index(self.index))
        writer.put("axes", self.axes)
        writer.put("coded", np.asarray(numbers, np.int64))
        writer.put("share", np.asarray([self.effort.share], np.float64))

    @classmethod
    def read(cls, reader: SnapshotReader, dimension: int) -> CodedRows:
        """Return what a snapshot holds.

        Raises:
            SnapshotDamagedError: if it is not what `write` wrote.
        """
        import faiss

        try:
            index: Any = faiss.deserialize_index(np.array(reader.array("codes")))
            axes = np.array(reader.array("axes"))
            count, lists, learnt_from, proved_at, candidates = reader.array("coded").tolist()
            (share,) = reader.array("share").tolist()
        except (RuntimeError, ValueError) as error:
            raise SnapshotDamagedError(f"the codes cannot be read: {error}") from error
        coded = cls(index, axes, count, lists, learnt_from, proved_at, Effort(share, candidates))
        if (index.ntotal, index.nlist, axes.shape) != (count, lists, (index.d, dimension)):
            raise SnapshotDamagedError("the codes are not those of the rows beside them")
        return coded


def project(axes: Matrix, rows: Matrix) -> Matrix:
    """Return the rows' coordinates on these axes, on the threads that `one_thread` allows."""
    import faiss

    turn = faiss.LinearTransform(axes.shape[1], axes.shape[0])  # and no offset
    faiss.copy_array_to_vector(np.ascontiguousarray(axes).ravel(), turn.A)
    turn.is_trained = True
    projected: Matrix = turn.apply(np.ascontiguousarray(rows))
    return projected


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep FAISS's work on the calling thread. OpenMP's number of threads is the thread's own; it is put back."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
