"""Names become objects, and every way this can fail says what to do."""

from __future__ import annotations

import sys
import threading
import traceback
import types

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from minirag.errors import (
    EmbeddingError,
    InvalidInputError,
    ProviderConflictError,
    ProviderError,
    ProviderNotFoundError,
    ProviderNotInstalledError,
    ProviderOptionsError,
)
from minirag.interfaces import LLM, LLMRequest, LLMResponse, ProviderContext, ProviderSpec, hookimpl
from minirag.models.base import InputModel
from minirag.models.tenants import ProviderRef
from minirag.plugins import Registry

CONTEXT = ProviderContext(credentials={"api_key": "sk-very-secret"})
MODULE = "acme_engines_for_tests"


class Echo(LLM):
    """A model that keeps what it was made with."""

    def __init__(self, options: object, context: ProviderContext) -> None:
        self.options = options
        self.context = context

    @property
    def name(self) -> str:
        return "acme:echo"

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(text=request.question)


class Options(BaseModel):
    """Options with every kind of fault."""

    model_config = ConfigDict(extra="forbid")

    model: str = "small"
    size: int = Field(default=1, ge=1)
    pin: SecretStr | None = None

    @field_validator("model")
    @classmethod
    def _model(cls, value: str) -> str:
        if value == "crash":
            raise RuntimeError("the validator fell over")
        return value


class OwnOptions(InputModel):
    """Options on our own base, which raises our own error."""

    model: str = "small"


class LenientOptions(BaseModel):
    """Options that would swallow a misspelt name."""


def leak(options: object, context: ProviderContext) -> LLM:
    raise RuntimeError(f"cannot sign in with {context.credentials['api_key']}")


def leak_in_a_cause(options: object, context: ProviderContext) -> LLM:
    try:
        leak(options, context)
    except RuntimeError as problem:
        raise ValueError("no model today") from problem
    raise AssertionError


def fail(options: object, context: ProviderContext) -> LLM:
    raise ZeroDivisionError("no model today")


def leave(options: object, context: ProviderContext) -> LLM:
    raise SystemExit(1)


def refuse(options: object, context: ProviderContext) -> LLM:
    raise EmbeddingError("ours")


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that the import strings of these tests name."""
    module = types.ModuleType(MODULE)
    vars(module).update(globals(), number=7, wrong=lambda options, context: object())
    monkeypatch.setitem(sys.modules, MODULE, module)


def plugin(label: str, *specs: ProviderSpec, hook: str = "minirag_llms") -> types.SimpleNamespace:
    """Return a plugin object that returns these records from one hook."""
    made = types.SimpleNamespace(__name__=label)
    setattr(made, hook, hookimpl(lambda: list(specs)))
    return made


def spec(factory: str = "Echo", options: str | None = None, **more: object) -> ProviderSpec:
    """Return the record of an engine of this module."""
    return ProviderSpec(
        name="acme",
        factory=factory if ":" in factory else f"{MODULE}:{factory}",
        options=f"{MODULE}:{options}" if options else None,
        **more,  # type: ignore[arg-type]
    )


def create(record: ProviderSpec, options: dict[str, object] | None = None) -> LLM:
    """Make the engine of a record."""
    registry = Registry.discover([plugin("acme-plugin", record)])
    assert registry.failures == ()
    return registry.create("llm", ProviderRef(provider="acme", options=options or {}), CONTEXT)


BUILT_IN = Registry.discover(())


# ------------------------------------------------------------------------------------------------ looking up
def test_an_unknown_name_lists_what_there_is() -> None:
    """The message names the near miss and all known names of that kind."""
    with pytest.raises(ProviderNotFoundError, match="no LLM is registered as 'opnai'; did you mean 'openai'") as caught:
        BUILT_IN.find("llm", "opnai")
    assert "known: 'anthropic', " in str(caught.value)
    assert ", 'extractive', " in str(caught.value)
    assert "minilm" not in str(caught.value)
    assert caught.value.provider == "opnai"


def test_an_unknown_kind_is_bad_input() -> None:
    """A kind is one of a fixed set."""
    with pytest.raises(InvalidInputError, match="kind='database' is unknown; use one of 'storage'"):
        BUILT_IN.specs("database")  # type: ignore[arg-type]


def test_a_contested_name_is_an_error_for_who_asks() -> None:
    """Both claimants are named, and everything else works."""
    registry = Registry.discover([plugin("one", spec()), plugin("two", spec())])
    assert registry.failures == ()
    assert registry.find("llm", "openai").origin == "built-in"
    assert [entry.plugin for entry in registry.specs("llm") if entry.name == "acme"] == ["one", "two"]
    with pytest.raises(ProviderConflictError, match=r"LLM 'acme' is claimed by the plugins 'one' \(.*\) and 'two'"):
        registry.create("llm", ProviderRef(provider="acme"), CONTEXT)


def test_one_name_may_serve_two_kinds() -> None:
    """A name is contested within its kind only."""
    registry = Registry.discover([plugin("one", spec()), plugin("two", spec(), hook="minirag_rerankers")])
    assert registry.find("llm", "acme").plugin == "one"
    assert registry.find("reranker", "acme").plugin == "two"


def test_registries_are_independent() -> None:
    """Two workspaces with different plugins live in one process."""
    with_plugin, without = Registry.discover([plugin("one", spec())]), Registry.discover(())
    assert with_plugin.find("llm", "acme").plugin == "one"
    with pytest.raises(ProviderNotFoundError):
        without.find("llm", "acme")


def test_a_registry_is_shared_by_threads() -> None:
    """Making engines from many threads at once gives every thread its own."""
    registry = Registry.discover([plugin("one", spec())])
    made: list[object] = []
    work = [
        threading.Thread(target=lambda: made.append(registry.create("llm", ProviderRef(provider="acme"), CONTEXT)))
        for _ in range(8)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert len({id(item) for item in made}) == 8


# ------------------------------------------------------------------------------------------------ making
def test_a_factory_is_given_options_and_context() -> None:
    """Options arrive as an instance of the model, the context as it was."""
    made = create(spec(options="Options"), {"size": 3})
    assert isinstance(made, Echo)
    assert isinstance(made.options, Options)
    assert made.options.size == 3
    assert made.context is CONTEXT


def test_a_missing_module_names_the_command() -> None:
    """What is missing is found without importing anything, and the message can be pasted into a shell."""
    record = spec("a_module_that_is_not_there:create", requires=("numpy", "a_module_that_is_not_there"), extra="big")
    entry = Registry.discover([plugin("one", record)]).find("llm", "acme")
    assert entry.missing_modules == ("a_module_that_is_not_there",)
    assert not entry.available
    registry = Registry([type(entry)("llm", record, "acme", "acme-minirag 1.0", "acme-minirag")])
    with pytest.raises(ProviderNotInstalledError, match=r'needs \'a_mod.*; run: pip install "acme-minirag\[big\]"$'):
        registry.create("llm", ProviderRef(provider="acme"), CONTEXT)


def test_a_module_missing_inside_a_plugin_is_not_installed() -> None:
    """A dependency that the record does not name shows when the factory is imported."""
    sys.modules["acme_lazy_engine"] = module = types.ModuleType("acme_lazy_engine")
    module.__getattr__ = lambda name: __import__("a_module_that_is_not_there")  # type: ignore[method-assign]
    try:
        with pytest.raises(ProviderNotInstalledError, match="needs 'a_module_that_is_not_there'"):
            create(spec("acme_lazy_engine:create"))
    finally:
        del sys.modules["acme_lazy_engine"]


@pytest.mark.parametrize("factory", [f"{MODULE}:nothing", "acme_missing.engine:create", "minirag.missing:create"])
def test_a_factory_that_is_not_there_is_the_plugins_fault(factory: str) -> None:
    """The error names the plugin and the import string, and is chained to the cause."""
    with pytest.raises(ProviderError, match=f"'acme-plugin'.* could not be imported from '{factory}'") as caught:
        create(spec(factory))
    assert type(caught.value) is ProviderError
    assert isinstance(caught.value.__cause__, AttributeError | ImportError)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [("fail", "ZeroDivisionError: no model today"), ("leave", "SystemExit"), ("number", "TypeError")],
)
def test_a_foreign_exception_is_translated(factory: str, reason: str) -> None:
    """Whatever a factory raises becomes a `ProviderError` that names the plugin and is chained."""
    with pytest.raises(
        ProviderError, match=f"LLM 'acme' of the plugin 'acme-plugin' .* could not be made: {reason}"
    ) as caught:
        create(spec(factory))
    assert type(caught.value.__cause__).__name__ in reason
    assert caught.value.provider == "acme"


def test_an_error_of_our_own_passes() -> None:
    """What a factory raises from `minirag.errors` is what the application sees."""
    with pytest.raises(EmbeddingError, match=r"^ours$"):
        create(spec("refuse"))


@pytest.mark.parametrize("factory", ["leak", "leak_in_a_cause"])
def test_a_credential_in_a_foreign_message_is_not_shown(factory: str) -> None:
    """Neither the message nor its printed chain holds the credential."""
    with pytest.raises(ProviderError, match="its message holds a credential") as caught:
        create(spec(factory))
    assert "sk-very-secret" not in "".join(traceback.format_exception(caught.value))


def test_an_object_of_another_type_is_refused() -> None:
    """A factory must make an instance of the interface's class."""
    with pytest.raises(ProviderError, match=r"made a object, which is no LLM; .* instance of minirag\.interfaces\.LLM"):
        create(spec("wrong"))


# ------------------------------------------------------------------------------------------------ options
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"size": 0}, r"size: Input should be greater than or equal to 1 \(got 0\)"),
        ({"colour": "sk-very-secret"}, r"colour: Extra inputs are not permitted \(got a str\); its options: 'model', "),
        ({"model": ["sk-very-secret"]}, r"model: Input should be a valid string \(got a list\)"),
    ],
)
def test_a_wrong_option_names_provider_field_and_problem(options: dict[str, object], fault: str) -> None:
    """The message and its chain show no value that could be a secret."""
    with pytest.raises(ProviderOptionsError, match=f"LLM 'acme' of the plugin .*: {fault}") as caught:
        create(spec(options="Options"), options)
    assert isinstance(caught.value, InvalidInputError)
    assert "sk-very-secret" not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_options_on_our_own_base_are_reported_alike() -> None:
    """An options model may derive from `InputModel`, which raises another error."""
    with pytest.raises(
        ProviderOptionsError, match=r"\): OwnOptions: colour: Extra inputs are not permitted \(got a str\); its options"
    ):
        create(spec(options="OwnOptions"), {"colour": "red"})


def test_a_provider_without_options_takes_none() -> None:
    """The names that were given are shown."""
    with pytest.raises(ProviderOptionsError, match="takes no options, but was given 'model'"):
        create(spec(), {"model": "big"})


@pytest.mark.parametrize("options", ["LenientOptions", "number", "Echo"])
def test_options_must_be_a_model_that_forbids_the_unknown(options: str) -> None:
    """Otherwise a misspelt option would be ignored without a word."""
    with pytest.raises(ProviderError, match='is not a pydantic model with extra="forbid"'):
        create(spec(options=options))


def test_a_validator_that_falls_over_is_the_plugins_fault() -> None:
    """A foreign exception while options are checked is translated as well."""
    with pytest.raises(ProviderError, match="could not check its options: RuntimeError"):
        create(spec(options="Options"), {"model": "crash"})
