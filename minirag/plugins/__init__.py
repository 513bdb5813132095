"""Where providers come from: discovery of plugins, and the registry that makes their objects."""

from __future__ import annotations

from minirag.plugins.discovery import PluginFailure, RegisteredSpec
from minirag.plugins.registry import Registry, parse_ref

__all__ = ["PluginFailure", "RegisteredSpec", "Registry", "parse_ref"]
