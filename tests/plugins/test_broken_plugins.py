"""A broken plugin is recorded and logged, and breaks neither the library nor another plugin."""

from __future__ import annotations

import importlib
import logging
import types
from typing import TYPE_CHECKING

import pytest

from minirag.errors import InvalidInputError, ProviderError, ProviderNotFoundError
from minirag.interfaces import INTERFACE_VERSION, ProviderContext, ProviderSpec, hookimpl
from minirag.models.tenants import ProviderRef
from minirag.plugins import Registry

if TYPE_CHECKING:
    from .conftest import Site

HEALTHY = """
    @hookimpl
    def minirag_llms():
        return [ProviderSpec(name="healthy", factory="healthy_plugin:create")]
"""

BROKEN = {
    "missing import": ("import a_module_that_is_not_there\n", "ModuleNotFoundError: No module named"),
    "syntax error": ("def broken(:\n", "SyntaxError"),
    "exits at import": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "odd exception at import": ("class Odd(BaseException): pass\nraise Odd('no')\n", "Odd: no"),
    "exception without a message": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute\n",
        "Mute: (its message cannot be read)",
    ),
    "hook raises": ("@hookimpl\ndef minirag_llms(): 1 / 0\n", "minirag_llms raised ZeroDivisionError"),
    "hook exits": ("@hookimpl\ndef minirag_llms(): raise SystemExit\n", "minirag_llms raised SystemExit"),
    "no list": ("@hookimpl\ndef minirag_llms(): return {}\n", "must return a list of ProviderSpec, not 'dict'"),
    "nothing returned": ("@hookimpl\ndef minirag_llms(): pass\n", "must return a list of ProviderSpec, not 'NoneType'"),
    "wrong record": ("@hookimpl\ndef minirag_llms(): return ['x']\n", "a str where a ProviderSpec belongs"),
    "misspelt hook": (
        "@hookimpl\ndef minirag_lms(): return []\n",
        "no hook 'minirag_lms'; did you mean 'minirag_llms'?",
    ),
    "wrong signature": ("@hookimpl\ndef minirag_llms(config): return []\n", "declared in the hookimpl but can not be"),
    "wrapper": ("@hookimpl(wrapper=True)\ndef minirag_llms(): return (yield)\n", "minirag_llms is a wrapper"),
    "no mark": ("def minirag_llms(): return []\n", "marks no function with minirag.interfaces.hookimpl"),
    "unknown field": (
        "@hookimpl\ndef minirag_llms(): return [ProviderSpec(name='x', factory='a:b', colour=1)]\n",
        "minirag_llms raised TypeError",
    ),
    "reserved name": (
        "@hookimpl\ndef minirag_llms(): return [ProviderSpec(name='openai', factory='a:b')]\n",
        "'openai' is reserved for the built-in provider",
    ),
    "same name twice": (
        "@hookimpl\ndef minirag_llms(): return [ProviderSpec(name='x', factory='a:b')] * 2\n",
        "'x' is returned twice",
    ),
}

RECORDS = {
    "other interface": (
        {"interface_version": INTERFACE_VERSION + 1},
        "is written for interface version 2, this release has 1",
    ),
    "upper case name": ({"name": "Acme"}, "'Acme' is not made of lower-case letters"),
    "name with a colon": ({"name": "acme:x"}, "'acme:x' is not made of lower-case letters"),
    "name of another type": ({"name": 7}, "the name 7 is not made of"),
    "factory without object": ({"factory": "package.module"}, "factory='package.module'"),
    "factory as a callable": ({"factory": print}, "is not an import string"),
    "options as a dict": ({"options": {}}, "options={}"),
    "requires as a str": ({"requires": "httpx"}, "requires='httpx'"),
    "summary of another type": ({"summary": 3}, "summary=3"),
    "formats of an LLM": ({"extensions": ("pdf",)}, "is no parser, but has extensions"),
}


def registered(*records: object, hook: str = "minirag_llms") -> Registry:
    """Return a registry with one plugin that returns these records from one hook."""
    plugin = types.SimpleNamespace(__name__="inline")
    setattr(plugin, hook, hookimpl(lambda: list(records)))
    return Registry.discover([plugin])


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_recorded_and_leaves_the_others(site: Site, name: str) -> None:
    """One failure names plugin, distribution and reason; a plugin after it in the order still loads."""
    source, reason = BROKEN[name]
    site.install("broken", "")
    (site.folder / "broken_plugin.py").write_text("from minirag.interfaces import ProviderSpec, hookimpl\n" + source)
    site.install("healthy", HEALTHY)
    registry = Registry.discover(["broken", "healthy"])
    assert registry.find("llm", "healthy").plugin == "healthy"
    assert registry.find("llm", "openai").plugin == "built-in"
    assert [failure.plugin for failure in registry.failures] == ["broken (broken 1.0)"]
    assert reason in registry.failures[0].reason


@pytest.mark.parametrize("name", RECORDS)
def test_a_wrong_record_is_left_out_and_its_neighbours_stay(name: str) -> None:
    """A record is checked field by field, since a dataclass takes anything."""
    changes, reason = RECORDS[name]
    fields = {"name": "acme", "factory": "acme:create", **changes}
    registry = registered(ProviderSpec(**fields), ProviderSpec(name="good", factory="good:create"))  # type: ignore[arg-type]
    assert [entry.name for entry in registry.specs("llm") if entry.plugin == "inline"] == ["good"]
    assert len(registry.failures) == 1
    assert reason in registry.failures[0].reason


@pytest.mark.parametrize("fields", [{"extensions": ("pdf",)}, {"extensions": (".PDF",)}, {"media_types": ("pdf",)}])
def test_a_parser_names_its_formats_as_they_are_looked_up(fields: dict[str, tuple[str, ...]]) -> None:
    """An extension without its dot, or in upper case, would never be found."""
    registry = registered(ProviderSpec(name="acme", factory="acme:create", **fields), hook="minirag_parsers")  # type: ignore[arg-type]
    assert len(registry.failures) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("broken_plugin:nothing_here", "AttributeError"),
        ("broken_plugin:NOTHING", "an object that is None"),
        ("not a module!", "AttributeError"),
        ("", "AttributeError"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_recorded(site: Site, value: str, reason: str) -> None:
    """A missing object, None and a malformed value are failures of that plugin alone."""
    site.install("broken", "NOTHING = None", entry_points=f"[minirag]\nbroken = {value}\n")
    registry = Registry.discover(["broken"])
    assert [failure.plugin for failure in registry.failures] == ["broken (broken 1.0)"]
    assert reason in registry.failures[0].reason


def test_one_object_under_two_entry_points_is_registered_once(site: Site) -> None:
    """The second entry point is recorded, and its records do not contest those of the first."""
    points = "[minirag]\nhealthy = healthy_plugin\nagain = healthy_plugin\n"
    site.install("healthy", HEALTHY, entry_points=points)
    registry = Registry.discover(["healthy", "again"])
    assert registry.find("llm", "healthy").plugin == "again"
    assert [str(failure) for failure in registry.failures] == [
        "healthy (healthy 1.0): it is the same object as the plugin again (healthy 1.0)"
    ]


def test_a_plugin_with_one_wrong_hook_keeps_its_right_ones(site: Site) -> None:
    """Hooks are called one by one."""
    site.install("broken", HEALTHY + "\n    @hookimpl\n    def minirag_embedders(): raise RuntimeError('later')\n")
    registry = Registry.discover(["broken"])
    assert registry.find("llm", "healthy").plugin == "broken"
    assert "minirag_embedders raised RuntimeError: later" in registry.failures[0].reason


def test_a_plugin_with_a_wrong_signature_offers_nothing(site: Site) -> None:
    """What pluggy refuses as a whole leaves no half of itself behind."""
    site.install("broken", HEALTHY + "\n    @hookimpl\n    def minirag_storages(engine): return []\n")
    registry = Registry.discover(["broken"])
    built_in = [entry.name for entry in Registry.discover(()).specs("llm")]
    assert [entry.name for entry in registry.specs("llm")] == built_in


def test_damaged_metadata_of_a_stranger_stops_nothing(site: Site) -> None:
    """A malformed `entry_points.txt` makes `importlib.metadata.entry_points` raise; discovery goes on."""
    site.describe("aaa-stranger", "[console_scripts]\nthis line has no equals sign\n")
    (site.describe("aab-stranger", "") / "entry_points.txt").write_bytes(b"\xff\xfe\x00")
    site.install("healthy", HEALTHY)
    registry = Registry.discover()
    assert registry.find("llm", "healthy").plugin == "healthy"
    assert not any("stranger" in str(failure) for failure in registry.failures)


def test_damaged_metadata_that_names_our_group_are_recorded(site: Site) -> None:
    """Whoever asks for that plugin's provider learns why it is not there."""
    site.describe("acme", "[minirag]\nthis line has no equals sign\n")
    registry = Registry.discover()
    assert any("its metadata is damaged" in failure.reason for failure in registry.failures)


def test_a_shadowed_distribution_is_left_out(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two distributions of one name, only the first on `sys.path` counts, as for imports."""
    site.install("healthy", HEALTHY)
    other = tmp_path_factory.mktemp("other")
    type(site)(other).install("healthy", HEALTHY)
    monkeypatch.syspath_prepend(str(other))
    registry = Registry.discover(["healthy"])
    assert registry.failures == ()
    assert registry.find("llm", "healthy").origin == "healthy 1.0"


def test_a_failure_is_logged_once_as_a_warning(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Looking names up, found or not, logs nothing more."""
    site.install("broken", "raise RuntimeError('out of order')")
    registry = Registry.discover(["broken"])
    for _ in range(2):
        registry.find("llm", "openai")
        with pytest.raises(ProviderNotFoundError):
            registry.find("llm", "broken")
    assert [(record.name, record.levelname) for record in caplog.records] == [("minirag.plugins", "WARNING")]
    assert "broken (broken 1.0): RuntimeError: out of order" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_traceback_is_logged_for_those_who_look(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """At the level DEBUG the warning shows where the plugin failed."""
    caplog.set_level(logging.DEBUG, logger="minirag.plugins")
    site.install("broken", "raise RuntimeError('out of order')")
    Registry.discover(["broken"])
    assert "Traceback" in caplog.text


def test_a_failure_is_shown_to_who_misses_the_name(site: Site) -> None:
    """The message for an unknown name lists what could not be loaded."""
    site.install("broken", "raise RuntimeError('out of order')")
    registry = Registry.discover(["broken"])
    with pytest.raises(ProviderNotFoundError, match=r"left out: broken \(broken 1\.0\): RuntimeError: out of order"):
        registry.find("llm", "acme")


def test_ctrl_c_during_an_import_is_passed_on(site: Site) -> None:
    """The person at the keyboard is no broken plugin."""
    site.install("broken", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Registry.discover(["broken"])


def test_a_broken_plugin_leaves_the_import_of_the_library_alone(site: Site) -> None:
    """Importing discovers nothing."""
    site.install("broken", "raise RuntimeError")
    importlib.reload(importlib.import_module("minirag"))


def test_only_plugins_on_the_list_are_imported(site: Site) -> None:
    """Code of a plugin that is not allowed never runs."""
    site.install("broken", "raise RuntimeError")
    site.install("healthy", HEALTHY)
    assert Registry.discover(["healthy"]).failures == ()
    assert Registry.discover(()).failures == ()
    assert len(Registry.discover(["broken"]).failures) == 1


def test_without_a_list_all_are_loaded(site: Site) -> None:
    """`plugins=None` takes every entry point of the group."""
    site.install("healthy", HEALTHY)
    assert Registry.discover().find("llm", "healthy").origin == "healthy 1.0"


def test_a_listed_plugin_that_is_not_installed_is_recorded() -> None:
    """A misspelt name on the list is found out when its provider is asked for."""
    registry = Registry.discover(["acme"])
    assert [str(failure) for failure in registry.failures] == [
        "acme: no installed distribution has this entry point in the group 'minirag'"
    ]


def test_modules_and_objects_are_plugins_too(site: Site) -> None:
    """An application passes its own module, without a distribution of its own."""
    site.install("healthy", HEALTHY)
    module = importlib.import_module("healthy_plugin")
    entry = Registry.discover([module]).find("llm", "healthy")
    assert (entry.plugin, entry.origin, entry.distribution) == ("healthy_plugin", "given as an object", None)


def test_an_unhashable_object_is_a_plugin_too() -> None:
    """A plugin may define equality without a hash."""

    class Plugin:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Plugin)

        @hookimpl
        def minirag_llms(self) -> list[ProviderSpec]:
            return [ProviderSpec(name="acme", factory="acme:create")]

    registry = Registry.discover([Plugin()])
    assert registry.failures == ()
    assert registry.find("llm", "acme").plugin == "Plugin"


def test_a_plugin_cannot_pass_itself_off_as_built_in() -> None:
    """The name of an entry point or module is free; what counts is where it came from."""
    plugin = types.SimpleNamespace(__name__="built-in", minirag_llms=hookimpl(lambda: [ProviderSpec("acme", "acme:x")]))
    registry = Registry.discover([plugin])
    with pytest.raises(ProviderError, match=r"LLM 'acme' of the plugin 'built-in' \(given as an object\)"):
        registry.create("llm", ProviderRef(provider="acme"), ProviderContext())


@pytest.mark.parametrize("plugins", ["healthy", b"healthy", 5, [None], ["healthy", 3], [True]])
def test_a_wrong_list_is_an_error_at_once(plugins: object) -> None:
    """A single string would otherwise be taken letter by letter."""
    with pytest.raises(InvalidInputError, match="give a list of entry-point names"):
        Registry.discover(plugins)  # type: ignore[arg-type]
