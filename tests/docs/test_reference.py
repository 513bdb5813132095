"""The reference names everything that is public, and what it draws is true."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType

import pytest

import minirag
from minirag import errors, interfaces
from minirag.cli import arguments
from minirag.config import ENVIRONMENT, WorkspaceConfig
from minirag.interfaces import hooks
from tests.architecture.rules import LAYERS
from tests.docs.pages import OTHERS, PAGES, ROOT, blocks_of, name_of, prose_of

REFERENCE = ROOT / "docs/reference"
TREE_LINE = re.compile(r"^(?P<bars>[│ ]*(?:[├└]── )?)(?P<name>\w+)(?: \(also (?P<also>\w+)\))?(?:  .*)?$")


# ---------------------------------------------------------------- errors
def tree_of(docstring: str) -> dict[str, tuple[str | None, str | None]]:
    """Return parent and built-in base by name, as drawn in a docstring."""
    drawn = re.search(r"```text\n(.*?)```", docstring, re.DOTALL)
    assert drawn is not None
    parents: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in drawn[1].splitlines():
        match = TREE_LINE.match(line)
        assert match is not None, line
        depth = len(match["bars"]) // 4
        path[depth:] = [match["name"]]
        parents[match["name"]] = (path[depth - 1] if depth else None, match["also"])
    return parents


def real_tree() -> dict[str, tuple[str | None, str | None]]:
    """Return the same of the classes. Of several bases of ours the first one is drawn."""
    tree = {}
    for name in errors.__all__:
        bases = getattr(errors, name).__bases__
        own = [base.__name__ for base in bases if base.__module__.startswith(errors.__name__)]
        builtin = [base.__name__ for base in bases if base.__module__ == "builtins" and base is not Exception]
        tree[name] = (own[0] if own else None, builtin[0] if builtin else None)
    return tree


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    """Every error stands in the drawing under its base, with the built-in one it also is."""
    assert tree_of(errors.__doc__ or "") == real_tree()


def test_the_reference_shows_the_drawn_tree() -> None:
    """The page of errors is made of the module's docstring."""
    assert re.search(r"^::: minirag\.errors$", (REFERENCE / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_a_wrong_drawing_is_found() -> None:
    """An error drawn under another parent, or left out, makes the two differ."""
    assert errors.__doc__ is not None
    assert tree_of(errors.__doc__.replace("│   ├── FilterError", "├── FilterError")) != real_tree()
    assert tree_of(re.sub(r".*NoTextError\n", "", errors.__doc__)) != real_tree()


# ---------------------------------------------------------------- public names
def shown_objects() -> Iterator[object]:
    """Yield what the reference shows: each object it names, and the public members of each module."""
    for page in REFERENCE.glob("*.md"):
        for path in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            try:
                found = importlib.import_module(path)
            except ModuleNotFoundError:
                module, _, name = path.rpartition(".")
                found = getattr(importlib.import_module(module), name)
            yield found
            if isinstance(found, ModuleType):
                yield from (getattr(found, name) for name in found.__all__)


def test_every_public_name_is_in_the_reference() -> None:
    """`minirag.__all__`, without the two modules whose members are shown one by one."""
    shown = {id(value) for value in shown_objects()}
    names = [name for name in minirag.__all__ if not isinstance(getattr(minirag, name), ModuleType)]
    assert len(names) > 30
    assert [name for name in names if id(getattr(minirag, name)) not in shown] == []


def test_every_interface_is_in_the_reference() -> None:
    """All that a provider's author imports from `minirag.interfaces`."""
    shown = [value for value in shown_objects() if not isinstance(value, ModuleType)]
    names = [name for name in interfaces.__all__ if not isinstance(getattr(interfaces, name), int)]
    assert [name for name in names if not any(getattr(interfaces, name) is value for value in shown)] == []


def test_every_conformance_suite_is_in_the_reference() -> None:
    """`minirag.testing` shows its suites."""
    testing = importlib.import_module("minirag.testing")
    page = (REFERENCE / "testing.md").read_text(encoding="utf-8")
    assert [name for name in testing.__all__ if f".{name}\n" not in page] == []


# ---------------------------------------------------------------- hooks, settings, commands
def test_every_hook_is_documented() -> None:
    """With its exact arguments, and the interface that it names factories of."""
    page = (REFERENCE / "hooks.md").read_text(encoding="utf-8")
    for name, kind in hooks.HOOKS.items():
        signature = ", ".join(inspect.signature(getattr(hooks, name)).parameters)
        row = re.search(rf"^\| `{name}\({signature}\)` \| `(\w+)` \|$", page, re.MULTILINE)
        assert row is not None, name
        assert row[1].lower() == kind.replace("_", "")


def _tables(page: Path) -> str:
    return "\n".join(line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|"))


def test_every_environment_variable_is_documented() -> None:
    """With the setting that it gives."""
    tables = _tables(REFERENCE / "configuration.md")
    assert [name for name, setting in ENVIRONMENT.items() if f"| `{name}` | `{setting}`" not in tables] == []


def test_every_setting_is_documented() -> None:
    """The fields of `WorkspaceConfig`, which are the keywords of `Workspace.open`."""
    tables = _tables(REFERENCE / "configuration.md")
    assert [name for name in WorkspaceConfig.model_fields if f"\n| `{name}` |" not in tables] == []
    assert set(WorkspaceConfig.model_fields) == set(inspect.signature(minirag.Workspace.open).parameters)


def commands_of(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield each command that can be called, and its long options."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in groups:
        for word, command in action.choices.items():
            yield from commands_of(command, f"{name} {word}".strip())
    if not groups:
        yield name, {option for action in parser._actions for option in action.option_strings if option[:2] == "--"}


class _BuiltError(Exception):
    """The parser is built; nothing is to be parsed with it."""


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """Give the parser of the command line as it is built."""
    built: list[argparse.ArgumentParser] = []

    def keep(self: argparse.ArgumentParser, *_: object) -> argparse.Namespace:
        built.append(self)
        raise _BuiltError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", keep)
    with pytest.raises(_BuiltError):
        arguments.parse([])
    return built[0]


def test_every_command_and_option_is_documented(parser: argparse.ArgumentParser) -> None:
    """Each command has a row; each option stands in a table."""
    tables = _tables(REFERENCE / "command-line.md")
    found = dict(commands_of(parser))
    assert len(found) > 15
    assert [name for name in found if not re.search(rf"^\| `{name}[` ]", tables, re.MULTILINE)] == []
    options = {option for names in found.values() for option in names} - {"--help", "--json", "--quiet"}
    assert sorted(option for option in options if not re.search(rf"`{option}[` ]", tables)) == []


def test_commands_in_shell_blocks_exist(parser: argparse.ArgumentParser) -> None:
    """Options of minirag commands that are shown but not run."""
    known = {option for _, options in commands_of(parser) for option in options}
    for page in PAGES:
        for block in blocks_of(page):
            if block.language == "sh":
                for command in re.findall(r"minirag (\w.*)", block.text):
                    words = re.sub(r"'[^']*'|\"[^\"]*\"", "", command.split("&&")[0]).split()
                    used = {word for word in words if word.startswith("--")}
                    assert used <= known, f"{name_of(page)}:{block.line}: {used - known}"


# ---------------------------------------------------------------- clauses
CLAUSE = re.compile(r"^\s*([A-Z]\d+)\. ", re.MULTILINE)
SUITES = {
    "Embedder": "embedder",
    "LLM": "llm",
    "Parser": "parser",
    "Chunker": "chunker",
    "VectorPartition": "vector_index",
    "KeywordPartition": "keyword_index",
    "Storage": "storage",
}
UNTESTED = {"Reranker"}
"""Interfaces of which the library has no provider yet, and so no suite."""


def clauses() -> dict[str, list[str]]:
    """Return the numbers of the clauses by interface."""
    found = {}
    for name in interfaces.__all__:
        value = getattr(interfaces, name)
        if inspect.isclass(value) and (numbers := CLAUSE.findall(value.__doc__ or "")):
            found[name] = numbers
    return found


def test_every_interface_with_clauses_has_a_suite() -> None:
    """A new interface with clauses needs a suite, or must say here that it has none."""
    assert set(clauses()) == set(SUITES) | UNTESTED


@pytest.mark.parametrize("interface", SUITES)
def test_every_clause_has_a_test_of_its_number(interface: str) -> None:
    """`test_e1_…` or `test_e01_…` holds E1; numbers run without gaps; no test holds a clause that is not there."""
    numbers = clauses()[interface]
    letter = numbers[0][0]
    assert numbers == [f"{letter}{place}" for place in range(1, len(numbers) + 1)]
    suites = [
        value
        for path in sorted((ROOT / "minirag/testing").glob(f"{SUITES[interface]}*.py"))
        for value in vars(importlib.import_module(f"minirag.testing.{path.stem}")).values()
        if inspect.isclass(value)
    ]
    tested = {
        f"{letter}{int(match[1])}"
        for suite in suites
        for name in dir(suite)
        if (match := re.match(rf"test_{letter.lower()}(\d+)_", name))
    }
    assert tested == set(numbers)


# ---------------------------------------------------------------- layers
def test_the_drawn_layers_are_those_that_are_held() -> None:
    """The page on architecture draws, from the top down, what the architecture tests hold from the ground up."""
    page = ROOT / "docs/explanation/architecture.md"
    drawing = next(block.text for block in blocks_of(page) if block.language == "text")
    drawn = [set(line.split("  ")[0].strip().split(" · ")) for line in drawing.splitlines()]
    assert drawn == [set(layer) for layer in reversed(LAYERS)]


# ---------------------------------------------------------------- links and words
def test_internal_links_resolve() -> None:
    """To files, and to headings in them."""
    broken = []
    for page in (*PAGES, *OTHERS):
        for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
            if re.match(r"https?://", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists() or (anchor and anchor not in _anchors(file)):
                broken.append(f"{name_of(page)}: {target}")
    assert broken == []


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}


def test_every_page_is_in_the_navigation() -> None:
    """A page that nothing leads to is lost."""
    listed = set(re.findall(r"- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=name_of)
def test_a_page_speaks_of_the_project_alone(page: Path) -> None:
    """No absolute path of somebody's machine, no e-mail address that could be somebody's, no note to self."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w.:/])/(?:work|home|root|tmp|opt|Users|var)/\S*", text) == []
    assert re.findall(r"[\w.]+@(?!(?i:example\.com)\b)[\w-]+\.\w+", text) == []
    assert re.findall(r"\b(?:TODO|FIXME|TBD|XXX)\b", text) == []


def test_names_in_prose_exist() -> None:
    """`minirag.something` written in backticks can be resolved."""
    later = {"minirag.sqlite3"}
    missing = []
    for page in PAGES:
        for name in set(re.findall(r"`(minirag(?:\.\w+)+)", prose_of(page))) - later:
            try:
                resolve_name(name)
            except (AttributeError, ImportError):
                missing.append(f"{name_of(page)}: {name}")
    assert missing == []
