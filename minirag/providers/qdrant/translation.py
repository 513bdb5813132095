"""Errors of Qdrant and its client, told in our own words: the one place where they are translated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minirag.errors import MiniRAGError, VectorIndexError
from minirag.interfaces.snapshots import PartitionLostError

__all__ = ["translated"]

_NOT_FOUND = 404
_REFUSED = (401, 403)
_LATER = (408, 429)
_LOST = "the collection is not in Qdrant any more"


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of the client in a block as `minirag.errors`, chained. What the server said is in none: it may quote values.

    Raises:
        PartitionLostError: if the collection is gone.
        VectorIndexError: for every other failure.
    """
    try:
        yield
    except (MiniRAGError, PartitionLostError):
        raise
    except Exception as problem:
        raise _translate(problem) from problem


def _translate(problem: Exception) -> Exception:
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(problem, UnexpectedResponse):
        return _of_status(problem.status_code or 0, f"status {problem.status_code}")
    if isinstance(problem, ResponseHandlingException):
        return _unreachable(type(problem.source).__name__)
    code = getattr(problem, "code", None)
    if callable(code):  # an error of gRPC, which need not be installed to ask
        name = str(getattr(code(), "name", "unknown"))
        return _of_status(_STATUS_OF_GRPC.get(name, 0), f"gRPC status {name}")
    if isinstance(problem, ValueError) and str(problem).startswith("Collection ") and "not found" in str(problem):
        return PartitionLostError(_LOST)
    if isinstance(problem, RuntimeError) and "already accessed by another instance" in str(problem):
        return VectorIndexError(
            "Qdrant's local folder is open in another process; use a server where several work", retryable=True
        )
    return VectorIndexError(f"Qdrant's client failed ({type(problem).__name__})")


_STATUS_OF_GRPC = {
    "NOT_FOUND": _NOT_FOUND,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "DEADLINE_EXCEEDED": 408,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}


def _of_status(status: int, reason: str) -> Exception:
    if status == _NOT_FOUND:
        return PartitionLostError(_LOST)
    if status in _REFUSED:
        return VectorIndexError(f"Qdrant refused the api_key ({reason})")
    if status in _LATER or status >= 500:
        return _unreachable(reason)
    return VectorIndexError(f"Qdrant refused a request ({reason})")


def _unreachable(reason: str) -> VectorIndexError:
    return VectorIndexError(
        f"Qdrant could not be asked ({reason}); try again, or check the url and the server", retryable=True
    )
