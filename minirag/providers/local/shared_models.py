"""`SharedModel`: a loaded model that its users in a process share, freed when the last of them closes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from minirag.errors import ProviderError

__all__ = ["SharedModel"]

M = TypeVar("M")


class _Slot:
    """A model's place, alive as long as somebody uses it: what is held is the slot, so the last one to let go frees the model."""

    __slots__ = ("__weakref__", "alone", "loading", "model")

    def __init__(self) -> None:
        self.loading = threading.Lock()
        self.alone = threading.Lock()
        self.model: Any = None


class _Process:
    """The models of one process, by key."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.slots: WeakValueDictionary[Hashable, _Slot] = WeakValueDictionary()


# By process: a forked child loads its own, since threads that belong to its parent's models are not there, and a lock may
# have been held at the fork. References are weak, so nothing is kept for its own sake.
_processes: Final[dict[int, _Process]] = {}


class SharedModel(Generic[M]):
    """One user's hold on a model that is loaded at first use, once for all users with the same key.

    Several workspaces of a process that name the same files with the same options so pay for one. Any thread may call.
    """

    def __init__(self, load: Callable[[], M], *, key: Hashable, provider: str) -> None:
        """Remember how to load the model; nothing is loaded yet.

        Args:
            key: resolved path, revision and whatever else tells two loaded models apart; `provider` is part of it anyway.
            provider: for messages.
        """
        self._load = load
        self._key = (provider, key)
        self._provider = provider
        self._slots: dict[int, _Slot] = {}
        self._closed = False

    def get(self) -> M:
        """Return the model, loaded if this is its first use.

        Raises:
            ProviderError: after `close`, and whatever loading raises; the next call then tries again.
        """
        model: M = self._loaded().model
        return model

    @contextmanager
    def alone(self) -> Iterator[M]:
        """Give the model to one caller at a time, for engines that several threads may not call at once."""
        slot = self._loaded()
        with slot.alone:
            yield slot.model

    def close(self) -> None:
        """Let go of the model. Calls that have begun keep it until they end."""
        self._closed = True
        self._slots.pop(os.getpid(), None)

    def _loaded(self) -> _Slot:
        slot = self._slot()
        if slot.model is None:
            with slot.loading:
                if slot.model is None:
                    slot.model = self._load()
        return slot

    def _slot(self) -> _Slot:
        if self._closed:
            raise ProviderError(f"{self._provider}: the model was used after close()", provider=self._provider)
        process = os.getpid()
        slot = self._slots.get(process)
        if slot is None:
            here = _processes.setdefault(process, _Process())
            with here.lock:
                slot = here.slots.get(self._key)
                if slot is None:
                    slot = here.slots[self._key] = _Slot()
            self._slots[process] = slot
        return slot
