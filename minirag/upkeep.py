"""`WorkspaceUpkeep`: what one does with a workspace as a whole, apart from its tenants: check it, mend it, copy it, change its key."""

from __future__ import annotations

import os
from collections.abc import Callable

from minirag._services.core import Core
from minirag._services.steps import Steps, run
from minirag.interfaces import TenantScope
from minirag.models.keys import KeyRotation
from minirag.models.verification import BackupReport, RepairReport, VerifyProgress, VerifyReport

__all__ = ["WorkspaceUpkeep"]


class WorkspaceUpkeep:
    """The part of `Workspace` that looks after all of it."""

    _core: Core
    _scope_of: Callable[[str], TenantScope]

    def verify(
        self,
        *,
        deep: bool = True,
        models: bool = False,
        progress: Callable[[VerifyProgress], None] | bool | None = None,
    ) -> VerifyReport:
        """Return what is wrong with anything stored, of all tenants; changes nothing, and may run beside any other work.

        Args:
            deep: also read every text, vector and log row, and compare snapshots with the database.
            models: also embed up to three stored texts of each bot again, which may cost something.
            progress: called with each step; None for a bar where one can be seen, False for none.
        """
        return run(self._verify_steps(deep=deep, models=models, progress=progress))

    def _verify_steps(self, *, deep: bool, models: bool, progress: object) -> Steps[VerifyReport]:
        """Return the steps of `verify`, for either face."""
        from minirag._services.verification import verify

        return verify(self._core, self._scope_of, deep=deep, models=models, progress=progress)

    def repair(self, *, progress: Callable[[VerifyProgress], None] | bool | None = None) -> RepairReport:
        """Mend what can be derived from what is left, and return what was mended and what else is to be done.

        Documents that have lost chunks or vectors are cut and embedded anew from their stored text. It may run beside any
        other work; cut short, it can be run again.

        Raises:
            ReadOnlyWorkspaceError: if the workspace was opened with `read_only=True`.
        """
        return run(self._repair_steps(progress=progress))

    def _repair_steps(self, *, progress: object) -> Steps[RepairReport]:
        """Return the steps of `repair`, for either face."""
        from minirag._services.repairs import repair

        return repair(self._core, self._scope_of, progress=progress)

    def backup(self, path: str | os.PathLike[str], *, include_key: bool = False) -> BackupReport:
        """Copy everything, as it is at one moment, into a new folder that `open` opens; others may write meanwhile.

        Args:
            path: where; nothing may be there, nor may it be inside the workspace's own folder.
            include_key: copy the folder's master key too, without which credentials cannot be read. Who gets such
                a backup can read them.

        Raises:
            ConflictError: if there is something at `path`.
            StorageError: if it cannot be written; nothing is left then.
        """
        from minirag._services.backups import backup

        return backup(self._core, path, include_key=include_key)

    def rotate_master_key(self) -> KeyRotation:
        """Change the master key that wraps every tenant's data key; others may read and write meanwhile.

        A folder makes the new key itself and keeps it in its key file, which holds both until all is wrapped anew; other
        processes find it there. A workspace whose key was given is opened with `secret_key=[new, old]`, in every process,
        before this is called; afterwards `new` is enough. Cut short, it can be called again and goes on.

        Raises:
            SecretKeyMissingError: if there is no master key.
            InvalidInputError: if the key was given and no other one with it.
            ReadOnlyWorkspaceError: if the workspace was opened with `read_only=True`.
        """
        from minirag._services.rotation import rotate_master_key

        return rotate_master_key(self._core, self._scope_of)
