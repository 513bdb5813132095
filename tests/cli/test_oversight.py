"""limits and audit: what they set, show and refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

import minirag
from minirag.models.audit import AuditAction

Cli = Any


def stored() -> dict[str, Any]:
    """Return the tenant's limits as the library reads them."""
    with minirag.Workspace.open("kb") as workspace:
        return workspace.tenants.limits("acme").model_dump(mode="json", exclude_none=True)


def test_limits_are_set_one_by_one_and_shown_with_their_use(cli: Cli, place: Path) -> None:
    """What is not named stays as it was; none lifts a limit."""
    assert cli("limits", "acme").out == "tenant acme has no limits\n"
    assert cli("limits", "acme", "--json").json == []
    table = cli("limits", "acme", "--documents", "10", "--cost", "month=2.50", "--requests", "day=5").out.splitlines()
    assert table[0].split() == ["limit", "used", "of", "begins", "anew"]
    assert re.fullmatch(r"documents +3 +10 +-", table[1])
    assert re.fullmatch(r"requests a day +0 +5 +\d{4}-\d\d-\d\d 00:00 UTC", table[2])
    assert re.fullmatch(r"cost a month +\$0\.0+ +\$2\.50+ +\d{4}-\d\d-01 00:00 UTC", table[3])
    cli("limits", "acme", "--requests", "month=50", "--requests", "total=1000000000000", "--tokens", "day=7")
    cli("limits", "acme", "--documents", "none", "--requests", "day=none", "--chunks", "0", "--characters", "99")
    rows = cli("limits", "acme", "--json").json
    assert {(row["limit"], row["window"]): row["value"] for row in rows} == {
        ("chunks", None): 0, ("characters", None): 99, ("requests", "month"): 50, ("requests", "total"): 10**12,
        ("tokens", "day"): 7, ("cost", "month"): "2.50",
    }  # fmt: skip
    assert set(rows[0]) == {"limit", "window", "value", "used", "resets_at"}
    cli("limits", "acme", "--cost", "month=none", "--cost", "total=0.000001")
    assert stored()["cost"] == {"total": "0.000001"}


def test_a_wrong_limit_changes_nothing(cli: Cli, place: Path) -> None:
    """It is said what is wrong, also where others beside it are right."""
    cli("limits", "acme", "--documents", "10")
    before = stored()
    for option, value, message in (
        ("--documents", "-1", "--documents"), ("--documents", "1.5", "whole number"), ("--chunks", "x" * 5_000, "--chunks"),
        ("--characters", "\u0663", "whole number"), ("--characters", "9" * 17, "whole number"), ("--documents", "", "whole number"),
        ("--requests", "5", "day=N"), ("--requests", "week=5", "day=N"), ("--tokens", "day=x", "whole number"),
        ("--tokens", "day=9999999999999999", "tokens"), ("--cost", "month=-1", "cost"), ("--cost", "month=", "cost"),
        ("--cost", "month=nan", "cost"), ("--cost", "total=1e99", "cost"),
    ):  # fmt: skip
        refused = cli("limits", "acme", "--chunks", "7", f"{option}={value}")
        assert (refused.code, refused.out) == (2, ""), (option, value)
        assert message in refused.err
        assert len(refused.err) < 2_000
    assert stored() == before


def test_audit(cli: Cli, place: Path) -> None:
    """Newest first, all or those that are asked for."""
    table = cli("audit", "acme").out.splitlines()
    assert table[0].split() == ["when", "(UTC)", "action", "subject", "actor"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  documents\.added +\w{16}  application", table[1])
    events = cli("audit", "acme", "--json").json
    assert [event["action"] for event in events] == ["documents.added", "source.added", "bot.created", "tenant.created"]
    assert set(events[0]) == {"id", "at", "actor", "action", "subject"}
    assert cli("audit", "acme", "--json", "--limit", "2").json == events[:2]
    assert cli("audit", "acme", "--json", "--limit", "0").json == []
    for option in ("action", "subject", "actor"):
        found = cli("audit", "acme", "--json", f"--{option}", events[1][option]).json
        assert found == [event for event in events if event[option] == events[1][option]]
    assert cli("audit", "acme", "--json", "--actor", "user:nobody").json == []


def test_no_more_is_read_than_is_shown(cli: Cli, place: Path) -> None:
    """A hundred events, unless more are asked for, in whatever length of a log."""
    with minirag.Workspace.open("kb") as workspace:
        for number in range(120):
            workspace.tenants.update("acme", name=f"Acme {number}")
    assert len(cli("audit", "acme", "--json").json) == 100
    assert len(cli("audit", "acme", "--json", "--limit", "1000").json) == 124


@pytest.mark.parametrize("command", ["limits", "audit"])
def test_wrong_calls(command: str, cli: Cli, shared: Path) -> None:
    """A tenant that is missing, or not named, is said."""
    missing = cli(command, "nope")
    assert (missing.code, missing.out) == (1, "")
    assert "no tenant 'nope'; `minirag tenants list`" in missing.err
    assert cli(command).code == 2
    assert cli("audit", "acme", "--limit", "x").code == 2
    unknown = cli("audit", "acme", "--action", "user.create")
    assert (unknown.code, unknown.out) == (2, "")
    assert all(action in unknown.err for action in get_args(AuditAction))


def test_a_suspended_tenant_can_be_given_limits(cli: Cli, place: Path) -> None:
    """Its log is closed with the rest of it."""
    cli("tenants", "suspend", "acme")
    assert cli("limits", "acme", "--documents", "5").code == 0
    closed = cli("audit", "acme")
    assert (closed.code, "suspended" in closed.err) == (1, True)
    cli("tenants", "resume", "acme")
    assert stored()["documents"] == 5
