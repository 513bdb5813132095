"""Errors of documents on their way in and out, of secrets, and of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minirag.errors.calls import MiniRAGError

if TYPE_CHECKING:
    from minirag.models.reports import IngestReport

__all__ = [
    "BlockedAddressError",
    "EvidenceGoneError",
    "FetchError",
    "IngestError",
    "NoTextError",
    "ParseError",
    "PluginError",
    "SecretError",
    "SecretKeyMismatchError",
    "SecretKeyMissingError",
    "UnsupportedFormatError",
]


class IngestError(MiniRAGError):
    """Documents could not be taken in. What was committed before stays.

    Attributes:
        report: the `IngestReport` of what was done, or None if nothing had begun.
    """

    def __init__(self, message: str, *, report: IngestReport | None = None) -> None:
        super().__init__(message)
        self.report = report


class ParseError(MiniRAGError):
    """A file could not be turned into text."""


class NoTextError(ParseError):
    """A file holds no text, such as a scan without a text layer."""


class UnsupportedFormatError(ParseError):
    """No installed parser reads this format."""


class FetchError(MiniRAGError):
    """A URL could not be read."""


class BlockedAddressError(FetchError):
    """A URL leads to an address that the workspace's `url_policy` does not allow."""


class EvidenceGoneError(MiniRAGError):
    """The text that a citation points at was erased."""


class SecretError(MiniRAGError):
    """Something is wrong with a key or a credential. The message never holds either."""


class SecretKeyMissingError(SecretError):
    """The database holds secrets, but no master key was given or found."""


class SecretKeyMismatchError(SecretError):
    """The master key is not the one that the secrets were encrypted with."""


class PluginError(MiniRAGError):
    """A third-party package could not be loaded as a plugin."""
