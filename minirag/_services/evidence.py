"""The text behind a citation, read through the tenant it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from minirag._services.core import Core
from minirag.errors import EvidenceGoneError
from minirag.interfaces import TenantScope

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Reads document versions of one tenant; it is what binds a citation to its workspace."""

    core: Core
    scope: TenantScope

    def read_evidence(self, version_id: str, start: int, end: int) -> str:
        """Return code points `start` to `end` of a version, clipped to it.

        Raises:
            EvidenceGoneError: if the tenant has no such version (any more).
        """
        self.core.check()
        with self.core.storage.read(self.scope) as reader:
            text = reader.text(version_id, start, end)
        if text is None:
            raise EvidenceGoneError(f"document version {version_id!r} no longer exists: its text was erased or dropped")
        return text
