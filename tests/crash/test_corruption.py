"""Derived files are damaged in every way: no answer changes, and nothing deleted, foreign or invented appears."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

import minirag
from minirag import DocumentInput
from minirag.bot import Bot
from minirag.providers.local.hashing import Hashing
from tests.crash.operations import lower_thresholds

_DIMENSION: Final = 64
_DOCUMENTS: Final = 1_500
_WORDS: Final = [
    first + last for first in ("ba", "ko", "mi", "tu", "ve", "zo") for last in ("den", "lop", "rin", "sta", "wu")
]
_QUERIES: Final = [" ".join(random.Random(number).choices(_WORDS, k=3)) for number in range(12)]
_RECALL: Final = 0.99

Answer = list[tuple[str, float]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each round a seed, which its name shows."""
    if "seed" in metafunc.fixturenames:
        first, rounds = metafunc.config.getoption("seed"), metafunc.config.getoption("rounds")
        metafunc.parametrize("seed", range(first, first + rounds), ids=lambda seed: f"seed={seed}")


@contextmanager
def opened(folder: Path) -> Iterator[tuple[minirag.Workspace, Bot]]:
    """Yield the workspace in a folder and the bot that is asked."""
    with minirag.Workspace.open(folder, embedder=Hashing(dimension=_DIMENSION), plugins=[]) as workspace:
        tenant = workspace.tenant("acme", create=True)
        yield workspace, tenant.bot("support", create=True, chunker="whole", language="en")


def documents(first: int, last: int, *, edition: int = 1) -> Iterator[DocumentInput]:
    """Yield texts that differ from each other and between editions."""
    for number in range(first, last):
        words = random.Random(f"{number}/{edition}").choices(_WORDS, k=25)
        yield DocumentInput(text=f"Edition {edition} of {number}: {' '.join(words)}", key=str(number))


@dataclass(frozen=True, slots=True)
class State:
    """A workspace at one moment, and what it answers.

    Attributes:
        exact: dense answers of an exact search by query, all of them.
    """

    folder: Path
    texts: frozenset[str]
    keyword: dict[str, Answer]
    exact: dict[str, Answer]
    hybrid: dict[str, Answer]


@dataclass(frozen=True, slots=True)
class History:
    """The same workspace twice, and another one with a bot of the same name."""

    older: State
    newer: State
    foreign: Path


def observe(folder: Path, copy: Path) -> State:
    """Copy a closed workspace, and ask the copy without its derived files, that is the database alone."""
    shutil.copytree(folder, copy)
    bare = copy.with_name(f"{copy.name}-bare")
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("index"))
    with opened(bare) as (_, bot):
        texts = frozenset(bot.documents.text(document.key) for document in bot.documents.list())
        return State(
            folder=copy,
            texts=texts,
            keyword={query: ask(bot, query, mode="keyword") for query in _QUERIES},
            exact={query: ask(bot, query, k=len(texts), mode="dense", exact=True) for query in _QUERIES},
            hybrid={query: ask(bot, query, mode="hybrid", exact=True) for query in _QUERIES},
        )


def ask(bot: Bot, query: str, *, k: int = 10, mode: str, exact: bool = False) -> Answer:
    return [(hit.text, hit.score) for hit in bot.search(query, k=k, mode=mode, exact=exact)]  # type: ignore[arg-type]  # one of the modes


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Two moments of one workspace, with snapshots and compressed engines as a large one has them."""
    folder = tmp_path_factory.mktemp("corruption")
    with pytest.MonkeyPatch.context() as patch:
        lower_thresholds(patch.setattr)
        for name in ("kb", "foreign"):
            with opened(folder / name) as (_, bot):
                bot.add(documents(0, _DOCUMENTS))
                assert bot.optimize().snapshot_bytes > 0
        older = observe(folder / "kb", folder / "older")
        with opened(folder / "kb") as (_, bot):
            bot.add(documents(_DOCUMENTS, _DOCUMENTS + 300), documents(0, 60, edition=2))
            bot.documents.remove(*[str(number) for number in range(100, 180)])
            assert bot.optimize().engine != "exact"
        newer = observe(folder / "kb", folder / "newer")
        assert older.texts != newer.texts
        yield History(older, newer, folder / "foreign")


def check(bot: Bot, state: State) -> None:
    """Fail unless every answer is that of the database alone."""
    found = expected = 0
    for query in _QUERIES:
        assert ask(bot, query, mode="keyword") == state.keyword[query]
        assert ask(bot, query, mode="dense", exact=True) == state.exact[query][:10]
        scores = dict(state.exact[query])
        hits = ask(bot, query, mode="dense")
        assert len(hits) == 10
        assert all(scores.get(text) == score for text, score in hits), (
            "a text or a score that the database does not give"
        )
        found += len({text for text, _ in hits} & {text for text, _ in state.exact[query][:10]})
        expected += 10
        hybrid = ask(bot, query, mode="hybrid")
        assert {text for text, _ in hybrid} <= state.texts
        assert len(hybrid) == 10
    assert found >= _RECALL * expected


# ---------------------------------------------------------------- ways to damage
def files(folder: Path) -> list[Path]:
    """Return the derived files; those that an earlier damage has emptied cannot be damaged further."""
    return sorted(path for path in (folder / "index").rglob("*") if path.is_file() and path.stat().st_size)


def delete_file(folder: Path, chance: random.Random, history: History) -> None:
    chance.choice(files(folder)).unlink()


def delete_all(folder: Path, chance: random.Random, history: History) -> None:
    shutil.rmtree(folder / "index")


def truncate(folder: Path, chance: random.Random, history: History) -> None:
    path = chance.choice(files(folder))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(chance.choice([0, 1, 8, max(size - 1, 0), chance.randint(0, size)]))


def flip(folder: Path, chance: random.Random, history: History) -> None:
    path = chance.choice(files(folder))
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 2, 50])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def overwrite(folder: Path, chance: random.Random, history: History) -> None:
    """Zeros or noise over a part, as a lost page would be."""
    path = chance.choice(files(folder))
    data = bytearray(path.read_bytes())
    length = chance.choice([16, 512, 4_096, 100_000])
    place = chance.randrange(len(data))
    part = len(data[place : place + length])
    data[place : place + part] = bytes(part) if chance.random() < 0.5 else chance.randbytes(part)
    path.write_bytes(data)


def replace_by_noise(folder: Path, chance: random.Random, history: History) -> None:
    chance.choice(files(folder)).write_bytes(chance.randbytes(chance.choice([0, 10, 10_000])))


def lengthen(folder: Path, chance: random.Random, history: History) -> None:
    with chance.choice(files(folder)).open("ab") as file:
        file.write(chance.randbytes(chance.randint(1, 5_000)))


def swap(folder: Path, chance: random.Random, history: History) -> None:
    """The postings under the name of the vectors, and the other way round."""
    first, second = files(folder)[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def stale(folder: Path, chance: random.Random, history: History) -> None:
    """Snapshots of an earlier moment."""
    for path in files(history.older.folder):
        if chance.random() < 0.7:
            shutil.copy(path, folder / path.relative_to(history.older.folder))


def foreign(folder: Path, chance: random.Random, history: History) -> None:
    """Snapshots of another workspace's bot, under this one's names."""
    theirs = {path.name: path for path in files(history.foreign)}
    for path in files(folder):
        if path.name in theirs:
            shutil.copy(theirs[path.name], path)


def leave_behind(folder: Path, chance: random.Random, history: History) -> None:
    """What a killed process leaves: a part of a file under its unfinished name, with the finished one gone."""
    path = chance.choice(files(folder))
    data = path.read_bytes()
    path.with_name(f"{path.name}.0123456789ab.tmp").write_bytes(data[: chance.randrange(len(data))])
    if chance.random() < 0.5:
        path.unlink()


def folder_in_the_way(folder: Path, chance: random.Random, history: History) -> None:
    path = chance.choice(files(folder))
    path.unlink()
    path.mkdir()


WAYS: Final[list[Callable[[Path, random.Random, History], None]]] = [
    delete_file, delete_all, truncate, flip, overwrite, replace_by_noise, lengthen, swap, stale, foreign, leave_behind, folder_in_the_way,
]  # fmt: skip


def test_damaged_files_change_no_answer(
    seed: int, tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any damage the workspace opens and answers as the database alone does, goes on, and mends what was damaged."""
    lower_thresholds(monkeypatch.setattr)
    chance = random.Random(seed)
    folder = tmp_path / "kb"
    state = history.newer
    shutil.copytree(state.folder, folder)
    if chance.random() < 0.15:  # an older database was restored: its snapshots are ahead of it
        state = history.older
        for name in ("minirag.sqlite3", "minirag.sqlite3-wal", "minirag.sqlite3-shm"):
            (folder / name).unlink(missing_ok=True)
            if (state.folder / name).exists():
                shutil.copy(state.folder / name, folder / name)
        print("an older database was restored")
    for _ in range(chance.choice([1, 1, 2])):
        way = chance.choice(WAYS)
        print(way.__name__)
        if len(files(folder)) >= 2 or (way is delete_all and (folder / "index").exists()):
            way(folder, chance, history)
    with opened(folder) as (_, bot):
        check(bot, state)
        new = next(documents(9_000, 9_001))
        bot.add(new)
        assert ask(bot, new.text, k=1, mode="dense")[0][0] == new.text
        bot.documents.remove(new.key)
        if chance.random() < 0.5:
            bot.optimize()
    with opened(folder) as (_, bot):
        check(bot, state)
