"""Passwords: which ones are taken, how they are hashed, and what comparing one takes."""

from __future__ import annotations

import statistics
import time

import pytest

from minirag.errors import InvalidInputError
from minirag.security.passwords import LONGEST, SHORTEST, Cost, Passwords, check_password

CHEAP = Passwords(Cost(passes=1, kibibytes=64, lanes=1))
SECRET = "correct horse"


@pytest.mark.parametrize("password", ["x" * SHORTEST, "x" * LONGEST, "pässwörd", " spaces kept ", "\U0001f40e" * 8])
def test_what_may_be_set_is_recognised(password: str) -> None:
    """A password of a length that is allowed matches its own hash, and its hash only."""
    stored = CHEAP.hash(check_password(password))
    assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert CHEAP.matches(stored, password)
    assert not CHEAP.matches(stored, password + "x")
    assert not CHEAP.matches(stored, password[:-1])
    assert stored != CHEAP.hash(password), "two hashes have one salt"


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "x" * (SHORTEST - 1),
        "x" * (LONGEST + 1),
        " " * 20,
        "nul\0nul\0",
        "sur\ud800rogate",
        None,
        5,
        b"bytes-bytes",
    ],
)
def test_what_may_not_be_set_is_refused_without_showing_it(password: object) -> None:
    """Too short, too long, blank, unstorable or no str: the message says which, and never the password."""
    with pytest.raises(InvalidInputError, match="password") as problem:
        check_password(password)
    assert not password or repr(password)[1:-1] not in str(problem.value) or isinstance(password, int | None)


def test_two_spellings_of_a_character_are_one_password() -> None:
    """Passwords are compared in NFKC: a composed and a decomposed character, and a wide letter, are the same."""
    stored = CHEAP.hash("caf\u00e9-au-lait")
    assert CHEAP.matches(stored, "cafe\u0301-au-lait")
    assert CHEAP.matches(stored, "\uff43af\u00e9-au-lait")
    assert not CHEAP.matches(stored, "cafe-au-lait")


@pytest.mark.parametrize("password", ["", "x", "x" * (LONGEST + 1), "x" * 3_000_000, "\ud800", "\0", SECRET])
def test_whatever_is_asked_for_is_compared(password: str) -> None:
    """What could never have been set matches nothing and raises nothing, and nothing matches nobody's hash."""
    assert not CHEAP.matches(CHEAP.hash("another password"), password)
    assert not CHEAP.matches(None, password)
    assert not CHEAP.matches(CHEAP.dummy(), password)


def test_a_password_that_is_too_long_never_matches_its_beginning() -> None:
    """What is cut before it is hashed does not match the hash of what is left."""
    assert not CHEAP.matches(CHEAP.hash("x" * (LONGEST + 1)), "x" * (LONGEST + 1))


def test_a_damaged_hash_matches_nothing() -> None:
    """What is not a hash at all is no reason to let anybody in, nor to fail."""
    for stored in ("", "plain text", "$argon2id$v=19$m=64,t=1,p=1$$", SECRET):
        assert not CHEAP.matches(stored, SECRET)
        assert CHEAP.is_outdated(stored)


def test_a_changed_cost_is_noticed() -> None:
    """A hash made at another cost still matches, and is known to be outdated."""
    dearer = Passwords(Cost(passes=2, kibibytes=64, lanes=1))
    stored = CHEAP.hash(SECRET)
    assert dearer.matches(stored, SECRET)
    assert dearer.is_outdated(stored)
    assert not CHEAP.is_outdated(stored)
    assert not dearer.is_outdated(dearer.hash(SECRET))


def test_the_default_cost_is_what_rfc_9106_recommends() -> None:
    """Where memory is scarce: 3 passes over 64 MiB in 4 lanes."""
    assert Passwords().cost == Cost(passes=3, kibibytes=65_536, lanes=4)
    assert Passwords().dummy().startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_nobodys_password_takes_as_long_as_somebodys() -> None:
    """A comparison without a hash does the same work: medians differ by less than a third, where skipping it takes no time."""
    passwords = Passwords(Cost(passes=2, kibibytes=8_192, lanes=1))
    stored = passwords.hash(SECRET)
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(40):
        known = bool(number % 2)
        begin = time.thread_time()
        passwords.matches(stored if known else None, "wrong password")
        times[known].append(time.thread_time() - begin)
    known, unknown = statistics.median(times[True]), statistics.median(times[False])
    print(f"known {known * 1e3:.1f} ms, unknown {unknown * 1e3:.1f} ms")
    assert unknown / known == pytest.approx(1, abs=0.33)
