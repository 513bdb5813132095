"""`Registry`: which providers there are, and how a name becomes an object."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any, Final, Literal, NoReturn, overload

from pydantic import BaseModel, ValidationError

from minirag.errors import (
    InvalidInputError,
    MiniRAGError,
    ProviderConflictError,
    ProviderError,
    ProviderNotFoundError,
    ProviderNotInstalledError,
    ProviderOptionsError,
)
from minirag.interfaces import (
    LLM,
    Chunker,
    Embedder,
    Parser,
    ProviderContext,
    ProviderKind,
    Reranker,
    Storage,
    VectorIndex,
)
from minirag.models.base import describe_validation_error
from minirag.models.checks import check_choice, clipped
from minirag.models.tenants import INSTANCE, ProviderRef
from minirag.plugins.discovery import (
    BUILT_IN,
    Discovery,
    PluginFailure,
    RegisteredSpec,
    describe_exception,
    near_miss,
)

__all__ = ["Registry", "parse_ref"]

_INTERFACES: Final[dict[ProviderKind, type]] = {
    "storage": Storage,
    "vector_index": VectorIndex,
    "embedder": Embedder,
    "llm": LLM,
    "reranker": Reranker,
    "parser": Parser,
    "chunker": Chunker,
}
_VAGUE_MEDIA_TYPES: Final = frozenset({"application/octet-stream", "binary/octet-stream", "text/plain"})
"""What servers say of files that they do not know."""


class Registry:
    """The providers of one workspace. It does not change once it is made, so threads may share it."""

    def __init__(self, specs: Iterable[RegisteredSpec], failures: Iterable[PluginFailure] = ()) -> None:
        self._specs: dict[ProviderKind, dict[str, list[RegisteredSpec]]] = {kind: {} for kind in _INTERFACES}
        for entry in specs:
            self._specs[entry.kind].setdefault(entry.name, []).append(entry)
        self.failures = tuple(failures)
        """What discovery left out, and why."""

    @classmethod
    def discover(cls, plugins: Iterable[object] | None = None) -> Registry:
        """Return a registry of the built-in providers and of plugins.

        Args:
            plugins: None for every installed plugin, else the entry-point names of those to load and modules or
                objects that are plugins themselves; `()` loads none.

        Raises:
            InvalidInputError: if `plugins` is not such a list. A plugin that is broken raises nothing here.
        """
        found = Discovery(plugins)
        return cls(found.specs, found.failures)

    def specs(self, kind: ProviderKind) -> list[RegisteredSpec]:
        """Return the records of a kind, sorted by name; a contested name is in it once for each claimant."""
        known = self._specs[check_choice("kind", kind, tuple(_INTERFACES))]
        return [entry for name in sorted(known) for entry in known[name]]

    def find(self, kind: ProviderKind, name: str) -> RegisteredSpec:
        """Return the record of this name.

        Raises:
            ProviderNotFoundError: if there is none; names what there is, and which plugins could not be loaded.
            ProviderConflictError: if several plugins claim the name.
        """
        known = self._specs[check_choice("kind", kind, tuple(_INTERFACES))]
        claimants = known.get(name, [])
        if len(claimants) == 1:
            return claimants[0]
        if claimants:
            raise _conflict(f"the {_words(kind)} {name!r}", claimants, provider=name)
        names = ", ".join(map(repr, sorted(known))) or "none"
        message = f"no {_words(kind)} is registered as {clipped(name)}{near_miss(name, known)}; known: {names}"
        message += "; another one comes with a plugin, a package to be installed"
        if self.failures:
            message += f"; left out: {'; '.join(map(str, self.failures))}"
        raise ProviderNotFoundError(message, provider=name)

    def parser_for(self, extension: str, media_type: str | None = None) -> RegisteredSpec | None:
        """Return the parser of a file, or None if no parser reads it.

        A media type decides before the extension, unless it is one that servers give to what they do not know.
        Parsers whose modules are missing give way to others. A plugin's parser goes before a built-in one:
        whoever installs it wants it.

        Args:
            extension: with its dot, such as `".pdf"`, or empty.
            media_type: as a server declared it; parameters are ignored.

        Raises:
            ProviderConflictError: if several plugins read this format.
        """
        declared = (media_type or "").partition(";")[0].strip().lower()
        vague = declared in _VAGUE_MEDIA_TYPES
        for value in (extension.lower(), declared) if vague else (declared, extension.lower()):
            claimants = [
                entry
                for entry in self.specs("parser")
                if value in entry.spec.extensions or value in entry.spec.media_types
            ]
            if len(claimants) > 1:
                claimants = [entry for entry in claimants if entry.available] or claimants
                claimants = [entry for entry in claimants if entry.origin != BUILT_IN] or claimants
            if len(claimants) > 1:
                raise _conflict(f"the format {value!r}", claimants, provider=None)
            if claimants:
                return claimants[0]
        return None

    @overload
    def create(self, kind: Literal["storage"], ref: ProviderRef, context: ProviderContext) -> Storage: ...
    @overload
    def create(self, kind: Literal["vector_index"], ref: ProviderRef, context: ProviderContext) -> VectorIndex: ...
    @overload
    def create(self, kind: Literal["embedder"], ref: ProviderRef, context: ProviderContext) -> Embedder: ...
    @overload
    def create(self, kind: Literal["llm"], ref: ProviderRef, context: ProviderContext) -> LLM: ...
    @overload
    def create(self, kind: Literal["reranker"], ref: ProviderRef, context: ProviderContext) -> Reranker: ...
    @overload
    def create(self, kind: Literal["parser"], ref: ProviderRef, context: ProviderContext) -> Parser: ...
    @overload
    def create(self, kind: Literal["chunker"], ref: ProviderRef, context: ProviderContext) -> Chunker: ...
    def create(self, kind: ProviderKind, ref: ProviderRef, context: ProviderContext) -> object:
        """Return a new object of the provider that `ref` names; its caller closes it.

        Raises:
            ProviderNotFoundError, ProviderConflictError: as `find` says.
            ProviderNotInstalledError: if a module that it requires is missing.
            ProviderOptionsError: if it does not take these options.
            ProviderError: if a plugin's code fails or makes something else.
        """
        entry = self.find(kind, ref.provider)
        if missing := entry.missing_modules:
            raise _not_installed(entry, missing)
        context = _with_environment(entry, context)
        options = _checked_options(entry, ref.options)
        factory = _imported(entry, entry.spec.factory)
        with _foreign_code(entry, "could not be made", secrets=context.credentials.values()):
            made = factory(options, context)
        interface = _INTERFACES[kind]
        if not isinstance(made, interface):
            raise ProviderError(
                f"{_title(entry)} made a {type(made).__name__}, which is no {interface.__name__}; its factory"
                f" {entry.spec.factory!r} must return an instance of minirag.interfaces.{interface.__name__}",
                provider=entry.name,
            )
        return made


def _with_environment(entry: RegisteredSpec, context: ProviderContext) -> ProviderContext:
    """Return a context whose missing credentials come from those variables that the provider names, and no other."""
    if not context.environment:
        return context
    found = {
        name: context.environment[variable]
        for name, variable in entry.spec.environment
        if name not in context.credentials and context.environment.get(variable)
    }
    return replace(context, credentials={**context.credentials, **found}, environment={})


def parse_ref(kind: ProviderKind, value: object) -> ProviderRef:
    """Return what names a provider as a record.

    Args:
        kind: for messages.
        value: `"name"`, `"name:model"` (only the first colon separates), `{"provider": "name", "options": {…}}`, or a
            `ProviderRef`, which is returned as it is.

    Raises:
        InvalidInputError: for anything else.
    """
    if isinstance(value, ProviderRef):
        return value
    options: Any = {}
    if isinstance(value, str):
        provider, colon, model = value.partition(":")
        if colon:
            options = {"model": model}
        if not provider.strip() or (colon and not model.strip()):
            _refuse_ref(kind, f"{clipped(value)} lacks a name before or after the colon")
    elif isinstance(value, Mapping):
        unknown = [key for key in value if key not in {"provider", "options"}]
        if unknown or "provider" not in value:
            what = f"has the unknown key {clipped(unknown[0])}" if unknown else "lacks the key 'provider'"
            _refuse_ref(kind, f"the mapping {what}")
        provider, options = value["provider"], value.get("options", {})
    else:
        _refuse_ref(kind, f"a {type(value).__name__} was given")
    if provider == INSTANCE:
        _refuse_ref(kind, f"{INSTANCE!r} stands for an object; give that object itself")
    try:
        return ProviderRef(provider=provider, options=options)
    except InvalidInputError as problem:
        _refuse_ref(kind, str(problem))


def _refuse_ref(kind: ProviderKind, problem: str) -> NoReturn:
    raise InvalidInputError(
        f"{kind}: {problem}; a provider is named as 'name', as 'name:model', or as"
        f" {{'provider': 'name', 'options': {{…}}}}, or given as an instance of"
        f" minirag.interfaces.{_INTERFACES[kind].__name__}"
    )


def _checked_options(entry: RegisteredSpec, options: Mapping[str, object]) -> BaseModel | None:
    if entry.spec.options is None:
        if options:
            given = ", ".join(map(repr, options))
            raise ProviderOptionsError(f"{_title(entry)} takes no options, but was given {given}", provider=entry.name)
        return None
    model = _imported(entry, entry.spec.options)
    if not (isinstance(model, type) and issubclass(model, BaseModel) and model.model_config.get("extra") == "forbid"):
        raise ProviderError(
            f'{_title(entry)}: {entry.spec.options!r} is not a pydantic model with extra="forbid"', provider=entry.name
        )
    problem: str | None = None
    with _foreign_code(entry, "could not check its options"):
        try:
            return model(**options)
        except ValidationError as faults:
            problem = describe_validation_error(faults)
        except InvalidInputError as fault:
            problem = str(fault)
    # Raised outside the handlers: pydantic's error holds the values, which may be secrets.
    known = ", ".join(map(repr, model.model_fields)) or "none"
    raise ProviderOptionsError(
        f"{_title(entry)}: {problem}; its options: {known}; secrets belong into credentials=", provider=entry.name
    )


def _imported(entry: RegisteredSpec, import_string: str) -> Any:
    with _foreign_code(entry, f"could not be imported from {import_string!r}"):
        try:
            return resolve_name(import_string)
        except ModuleNotFoundError as problem:
            own = import_string.partition(":")[0]
            missing = problem.name or own
            if f"{own}.".startswith(f"{missing}."):
                raise
            raise _not_installed(entry, (missing,)) from problem


@contextmanager
def _foreign_code(entry: RegisteredSpec, what: str, *, secrets: Collection[str] = ()) -> Iterator[None]:
    """Turn what a plugin raises into a `ProviderError` that names it; our own errors pass."""
    try:
        yield
    except (MiniRAGError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # noqa: BLE001 - a plugin may raise anything, `SystemExit` included
        reason = describe_exception(problem)
        cause: BaseException | None = problem
        shown = "".join(traceback.format_exception(problem))
        if any(secret and secret in shown for secret in secrets):
            reason, cause = f"{type(problem).__name__} (not shown: its message holds a credential)", None
        raise ProviderError(f"{_title(entry)} {what}: {reason}", provider=entry.name) from cause


def _not_installed(entry: RegisteredSpec, missing: Collection[str]) -> ProviderNotInstalledError:
    message = f"{_title(entry)} needs {', '.join(map(repr, missing))}, which cannot be imported"
    if entry.install_command is not None:
        message += f"; run: {entry.install_command}"
    return ProviderNotInstalledError(message, provider=entry.name)


def _conflict(what: str, claimants: Iterable[RegisteredSpec], *, provider: str | None) -> ProviderConflictError:
    names = " and ".join(f"{entry.plugin!r} ({entry.origin})" for entry in claimants)
    return ProviderConflictError(
        f"{what} is claimed by the plugins {names}; uninstall all but one, or open the workspace with plugins=[…]"
        " naming those to load",
        provider=provider,
    )


def _title(entry: RegisteredSpec) -> str:
    if entry.origin == BUILT_IN:
        return f"{_words(entry.kind)} {entry.name!r}"
    return f"{_words(entry.kind)} {entry.name!r} of the plugin {entry.plugin!r} ({entry.origin})"


def _words(kind: ProviderKind) -> str:
    return "LLM" if kind == "llm" else kind.replace("_", " ")
