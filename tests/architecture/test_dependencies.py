"""What the library depends on: no version that it allows has a known weakness which hostile input can reach through it.

This needs no network: the weaknesses are written down here, each with the first version that is free of it. A new one is added
when it is published; a floor that is too low then turns this red.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WEAKNESSES = {
    "pypdf": ("6.16.1", "CVE-2026-84310, CVE-2026-84311: outlines and forms that take for ever; earlier ones before 6.15"),
    "cryptography": ("44.0.1", "CVE-2024-12797 and before: OpenSSL inside the wheels"),
    "h11": ("0.16.0", "CVE-2025-43859: chunked bodies read leniently"),
    "httpcore": ("1.0.9", "the first that asks for a sound h11"),
    "idna": ("3.7", "CVE-2024-3651: hostile names take quadratic time"),
    "pydantic": ("2.4.0", "CVE-2024-3772: e-mail addresses by a slow expression"),
    "certifi": ("2024.7.4", "CVE-2024-39689: roots no longer trusted"),
    "mako": ("1.2.2", "CVE-2022-40023: templates by a slow expression"),
    "sqlalchemy": ("1.3.0", "CVE-2019-7164, CVE-2019-7548: order_by and group_by took SQL"),
}  # fmt: skip
LICENCES = re.compile(r"apache|bsd|mit\b|isc\b|psf|python|mpl|mozilla|unlicense|zlib|0bsd|cc0", re.IGNORECASE)


def as_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:4])


def floors() -> dict[str, str]:
    """Return the least version that is allowed of each direct dependency."""
    found = (re.match(r"([A-Za-z0-9-]+)(?:>=|==)([0-9.]+)", line) for line in PROJECT["dependencies"])
    return {match[1].lower(): match[2] for match in found if match}


def test_every_dependency_has_a_floor() -> None:
    """So that nobody gets a version that was never tried."""
    assert len(floors()) == len(PROJECT["dependencies"])


@pytest.mark.parametrize("name", sorted(WEAKNESSES))
def test_no_allowed_version_is_weak(name: str) -> None:
    """Neither the floor nor what is installed."""
    sound, why = WEAKNESSES[name]
    if name in floors():
        assert as_numbers(floors()[name]) >= as_numbers(sound), why
    try:
        installed = version(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    assert as_numbers(installed) >= as_numbers(sound), why


def test_what_is_installed_fits_together() -> None:
    """Each distribution that comes with the library has what it requires."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not installed")
    ours = {"minirag-core", *floors()}
    assert [line for line in done.stdout.splitlines() if line.split(" ")[0].lower() in ours] == []


@pytest.mark.parametrize("name", sorted(floors()))
def test_licences_allow_any_use(name: str) -> None:
    """The library may be used in anything, so what it brings along may be, too."""
    (found,) = [each for each in distributions() if (each.metadata["Name"] or "").lower() == name][:1]
    said = [
        found.metadata["License-Expression"],
        found.metadata["License"],
        *(found.metadata.get_all("Classifier") or []),
    ]
    about = [text[:200] for text in said if text and ("License ::" in text or not text.startswith("Programming"))]
    assert any(LICENCES.search(text) for text in about), about
