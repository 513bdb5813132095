"""Finds plugins and collects their records, each plugin on its own: a broken one is recorded and stops nothing."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import pluggy

from minirag.errors import InvalidInputError
from minirag.interfaces import hooks
from minirag.interfaces.specs import INTERFACE_VERSION, ProviderKind, ProviderSpec
from minirag.models.checks import clipped

__all__ = ["BUILT_IN", "GROUP", "Discovery", "PluginFailure", "RegisteredSpec", "describe_exception", "near_miss"]

GROUP: Final = "minirag"
"""The entry-point group of plugins."""

BUILT_IN: Final = "built-in"
"""Plugin and origin of the providers that MiniRAG brings along."""

_BUILT_IN_MODULE: Final = "minirag.providers.builtin"
_GIVEN: Final = "given as an object"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_IMPORT_STRING: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_EXTENSION: Final = re.compile(r"(\.[^\s./\\A-Z]+)+")
_MEDIA_TYPE: Final = re.compile(r"[^\s/;A-Z]+/[^\s/;A-Z]+")
_logger: Final = logging.getLogger("minirag.plugins")


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin, or a part of one, that was left out.

    Attributes:
        plugin: the entry point's name and the distribution it comes from.
        reason: one line that says what is wrong with it.
    """

    plugin: str
    reason: str

    def __str__(self) -> str:
        return f"{self.plugin}: {self.reason}"


@dataclass(frozen=True, slots=True)
class RegisteredSpec:
    """A provider's record and where it came from.

    Attributes:
        plugin: the name of the plugin that returned it, or `"built-in"`.
        origin: name and version of the plugin's distribution, or `"built-in"`.
        distribution: what `pip install` calls the distribution, or None for a plugin given as an object.
    """

    kind: ProviderKind
    spec: ProviderSpec
    plugin: str
    origin: str
    distribution: str | None

    @property
    def name(self) -> str:
        """What an application writes."""
        return self.spec.name

    @property
    def missing_modules(self) -> tuple[str, ...]:
        """The modules of `spec.requires` that cannot be imported now; none of them is imported to find out."""
        return tuple(module for module in self.spec.requires if not _is_importable(module))

    @property
    def available(self) -> bool:
        """Whether every module it requires can be imported."""
        return not self.missing_modules

    @property
    def install_command(self) -> str | None:
        """What to run for the modules that it requires, or None for a plugin given as an object."""
        if self.distribution is None:
            return None
        extra = f"[{self.spec.extra}]" if self.spec.extra else ""
        return f'pip install "{self.distribution}{extra}"'


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A plugin before it is loaded."""

    name: str
    origin: str
    distribution: str | None
    load: Callable[[], object]

    def __str__(self) -> str:
        return f"{self.name} ({self.origin})"


class Discovery:
    """The records of the built-in providers and of every plugin that is asked for.

    Attributes:
        specs: the records that can be used, the built-in ones first.
        failures: what was left out and why, each logged once as a warning to `minirag.plugins`.
    """

    def __init__(self, plugins: Iterable[object] | None = None) -> None:
        """Load and question the plugins.

        Args:
            plugins: None for every installed plugin, else the entry-point names of those to load and modules or
                objects that are plugins themselves.

        Raises:
            InvalidInputError: if `plugins` is not such a list.
        """
        wanted = None if plugins is None else _checked(plugins)
        self.specs: list[RegisteredSpec] = []
        self.failures: list[PluginFailure] = []
        self._reserved: frozenset[tuple[ProviderKind, str]] = frozenset()
        self._loaded: list[tuple[_Candidate, object]] = []
        self._manager = pluggy.PluginManager("minirag")
        self._manager.add_hookspecs(hooks)
        self._add(_Candidate(BUILT_IN, BUILT_IN, "minirag-core", lambda: importlib.import_module(_BUILT_IN_MODULE)))
        self._reserved = frozenset((entry.kind, entry.name) for entry in self.specs)
        for candidate in self._candidates(wanted):
            self._add(candidate)

    def _candidates(self, wanted: Sequence[object] | None) -> Iterator[_Candidate]:
        names = None if wanted is None else {item for item in wanted if isinstance(item, str)}
        if names is None or names:
            installed = self._installed()
            yield from (candidate for candidate in installed if names is None or candidate.name in names)
            for name in sorted((names or set()) - {candidate.name for candidate in installed}):
                self._fail(name, f"no installed distribution has this entry point in the group {GROUP!r}")
        for item in wanted or ():
            if not isinstance(item, str):
                yield _given(item)

    def _installed(self) -> list[_Candidate]:
        """Return the entry points of our group, sorted; those of a shadowed distribution are left out.

        `importlib.metadata.entry_points` is not used: one malformed file of any distribution makes it raise.
        """
        found: dict[str, list[_Candidate]] = {}
        for distribution in importlib.metadata.distributions():
            try:
                points = [point for point in distribution.entry_points if point.group == GROUP]
                if points:
                    name, version = distribution.metadata["Name"], distribution.version
                    candidates = [_Candidate(point.name, f"{name} {version}", name, point.load) for point in points]
                    found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), candidates)
            except Exception as problem:  # noqa: BLE001 - other people's files, and no promise of what is raised
                if _mentions_plugins(distribution):
                    place = distribution.locate_file("")
                    self._fail(f"a distribution in {place}", f"its metadata is damaged: {describe_exception(problem)}")
        return [
            candidate for key in sorted(found) for candidate in sorted(found[key], key=lambda candidate: candidate.name)
        ]

    def _add(self, candidate: _Candidate) -> None:
        """Load, register and question one plugin."""
        key = f"{candidate} #{len(self._loaded)}"
        try:
            plugin = candidate.load()
            if plugin is None:
                self._fail(candidate, "the entry point names an object that is None")
                return
            for other, known in self._loaded:
                if known is plugin:
                    self._fail(candidate, f"it is the same object as the plugin {other}")
                    return
            self._loaded.append((candidate, plugin))
            self._manager.register(plugin, name=key)
            callers = self._manager.get_hookcallers(plugin) or []
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # noqa: BLE001 - a plugin may do anything, exiting included
            if self._manager.has_plugin(key):  # pluggy before 1.7 keeps a plugin that it refused
                self._manager.unregister(name=key)
            self._fail(candidate, describe_exception(problem), problem)
            return
        self._question(candidate, plugin, callers)

    def _question(self, candidate: _Candidate, plugin: object, callers: Sequence[pluggy.HookCaller]) -> None:
        """Call the plugin's hooks one by one: called together, the first that raises would end the others."""
        if not callers:
            self._fail(candidate, "it marks no function with minirag.interfaces.hookimpl, so it adds nothing")
        for caller in callers:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not plugin:
                    continue
                if (kind := hooks.HOOKS.get(caller.name)) is None:
                    if not implementation.optionalhook:
                        self._fail(candidate, f"there is no hook {caller.name!r}{near_miss(caller.name, hooks.HOOKS)}")
                elif implementation.wrapper or implementation.hookwrapper:
                    self._fail(candidate, f"{caller.name} is a wrapper; a plugin may only add records of its own")
                else:
                    self._collect(candidate, kind, caller.name, implementation.function)

    def _collect(self, candidate: _Candidate, kind: ProviderKind, hook: str, function: Callable[..., object]) -> None:
        try:
            records = function()
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # noqa: BLE001 - as above
            self._fail(candidate, f"{hook} raised {describe_exception(problem)}", problem)
            return
        if not isinstance(records, list | tuple):
            self._fail(candidate, f"{hook} must return a list of ProviderSpec, not {clipped(type(records).__name__)}")
            return
        own: set[str] = set()
        for record in records:
            if fault := _fault(kind, record):
                self._fail(candidate, f"{hook}: {fault}")
            elif (kind, record.name) in self._reserved:
                self._fail(candidate, f"{hook}: the name {record.name!r} is reserved for the built-in provider")
            elif record.name in own:
                self._fail(candidate, f"{hook}: the name {record.name!r} is returned twice")
            else:
                own.add(record.name)
                self.specs.append(
                    RegisteredSpec(kind, record, candidate.name, candidate.origin, candidate.distribution)
                )

    def _fail(self, plugin: _Candidate | str, reason: str, problem: BaseException | None = None) -> None:
        failure = PluginFailure(str(plugin), reason)
        self.failures.append(failure)
        # The traceback is for whoever writes the plugin; for everybody else one line is enough.
        trace = problem if _logger.isEnabledFor(logging.DEBUG) else None
        _logger.warning("left out the plugin %s", failure, exc_info=trace)


def describe_exception(problem: BaseException) -> str:
    """Return type and message of a foreign exception in one line, whatever its `__str__` does."""
    try:
        text = " ".join(str(problem).split())
    except Exception:  # noqa: BLE001 - a foreign `__str__`
        text = "(its message cannot be read)"
    shown = text if len(text) <= 300 else f"{text[:300]}…"
    return f"{type(problem).__name__}: {shown}" if shown else type(problem).__name__


def near_miss(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known name that `name` comes closest to, or an empty string."""
    close = get_close_matches(name.lower(), sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _mentions_plugins(distribution: importlib.metadata.Distribution) -> bool:
    try:
        return f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
    except Exception:  # noqa: BLE001 - not even text, so nothing says that it is meant for us
        return False


def _checked(plugins: object) -> list[object]:
    remedy = "give a list of entry-point names, modules or objects; None loads all installed plugins, () none"
    if isinstance(plugins, str | bytes) or not isinstance(plugins, Iterable):
        raise InvalidInputError(f"plugins={clipped(plugins)} is a {type(plugins).__name__}; {remedy}")
    items = list(plugins)
    for item in items:
        if item is None or isinstance(item, bool | int | float | bytes):
            raise InvalidInputError(f"plugins= holds {clipped(item)}; {remedy}")
    return items


def _given(plugin: object) -> _Candidate:
    name = getattr(plugin, "__name__", None)
    return _Candidate(name if isinstance(name, str) else type(plugin).__name__, _GIVEN, None, lambda: plugin)


def _is_importable(module: str) -> bool:
    top = module.partition(".")[0]
    try:
        return importlib.util.find_spec(top) is not None
    except ValueError:  # a module in sys.modules without a spec: it was imported, so it can be
        return sys.modules.get(top) is not None


def _fault(kind: ProviderKind, record: object) -> str | None:
    """Return what is wrong with a hook's record, or None. A frozen dataclass does not check its fields itself."""
    if not isinstance(record, ProviderSpec):
        return f"it returned a {type(record).__name__} where a ProviderSpec belongs"
    name: object = record.name
    shown = clipped(name)
    if record.interface_version != INTERFACE_VERSION:
        return (
            f"{shown} is written for interface version {clipped(record.interface_version)}, this release has"
            f" {INTERFACE_VERSION}; install releases of the plugin and of minirag-core that fit together"
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"the name {shown} is not made of lower-case letters, digits, '-' and '_'"
    for field in ("factory", "options"):
        value = getattr(record, field)
        if not (isinstance(value, str) and _IMPORT_STRING.fullmatch(value)) and (field, value) != ("options", None):
            return f"{field}={clipped(value)} of {shown} is not an import string 'package.module:name'"
    for field in ("summary", "extra"):
        if not isinstance(getattr(record, field) or "", str):
            return f"{field}={clipped(getattr(record, field))} of {shown} is not a str"
    for field in ("requires", "extensions", "media_types"):
        values = getattr(record, field)
        if not isinstance(values, tuple | list) or not all(isinstance(value, str) and value for value in values):
            return f"{field}={clipped(values)} of {shown} is not a tuple of str"
    if kind != "parser" and (record.extensions or record.media_types):
        return f"{shown} is no parser, but has extensions or media types"
    for extension in record.extensions:
        if not _EXTENSION.fullmatch(extension):
            return f"the extension {clipped(extension)} of {shown} is not in lower case with its dot, such as '.pdf'"
    for media_type in record.media_types:
        if not _MEDIA_TYPE.fullmatch(media_type):
            return f"the media type {clipped(media_type)} of {shown} is not in lower case, such as 'text/html'"
    return None
