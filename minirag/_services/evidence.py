"""The text behind a citation, read through the tenant it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from minirag._services.admission import admit
from minirag._services.core import Core
from minirag.errors import EvidenceGoneError
from minirag.interfaces import TenantScope
from minirag.models.principals import APPLICATION, Principal

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Reads document versions of one tenant; it is what binds a citation to its workspace."""

    core: Core
    scope: TenantScope
    principal: Principal = APPLICATION

    def read_evidence(self, version_id: str, start: int, end: int) -> str:
        """Return code points `start` to `end` of a version, clipped to it.

        Raises:
            EvidenceGoneError: if the tenant has no such version (any more).
        """
        bot_id = admit(self.core, self.scope, self.principal, "documents.read").bot_id
        with self.core.storage.read(self.scope) as reader:
            text = reader.text(version_id, start, end)
            if bot_id is not None and ((version := reader.version(version_id)) is None or version.bot_id != bot_id):
                text = None  # of a bot that this token does not open
        if text is None:
            raise EvidenceGoneError(f"document version {version_id!r} no longer exists: its text was erased or dropped")
        return text
