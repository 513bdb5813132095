"""`python -m tests.benchmarks.page` writes the measured part of the performance page, and its plot, from the saved results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import markdown
from tests.benchmarks.plot import Line, Panel, draw

__all__ = ["PAGE", "PLOT", "page", "plot", "results"]

_ROOT = Path(__file__).parents[2]
_RESULTS = Path(__file__).parent / "results"
PAGE = _ROOT / "docs" / "explanation" / "performance.md"
PLOT = PAGE.with_suffix(".svg")
_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"

_LATENCY = "dense search, p50"
_MEMORY = "private memory after dense searches"


def results() -> list[dict[str, Any]]:
    """Return the saved results, smallest first."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in _RESULTS.glob("*.json")]
    return sorted(found, key=lambda result: int(result["size"]))


def page(text: str, saved: list[dict[str, Any]]) -> str:
    """Return the page with the part between its marks written anew."""
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    return f"{before}{_BEGIN}\n\n{_measured(saved)}\n\n{_END}{after}"


def plot(saved: list[dict[str, Any]]) -> str:
    """Return the plot as SVG: latency and memory against size."""
    panels = []
    for title, name, raw_is in (
        ("Dense search, median, ms", _LATENCY, "flat index alone"),
        ("Private memory, MB", _MEMORY, "flat index, loaded"),
    ):
        found = [(result["size"], _one(result, name, raw_is)) for result in saved]
        panels.append(
            Panel(
                title=title,
                across="documents",
                lines=[
                    Line("raw flat index", [(size, figure["raw"]) for size, figure in found if figure]),
                    Line("MiniRAG", [(size, figure["library"]) for size, figure in found if figure]),
                ],
            )
        )
    return draw(panels, description="Median latency of dense search and private memory against the number of documents")


def _measured(saved: list[dict[str, Any]]) -> str:
    lines = [f"- {_conditions(result)}" for result in saved]
    head = ["measured", "compared with"]
    for result in saved:
        head += [f"{result['size']:,}", "ratio"]
    rows = [head]
    for name, raw_is, unit in _names(saved):
        row = [f"{name} ({unit})" if unit else name, raw_is]
        for result in saved:
            figure = _one(result, name, raw_is)
            row += ["", ""] if figure is None else [_shown(figure["library"], unit), _shown(figure["ratio"])]
        rows.append(row)
    return "\n".join([*lines, "", *markdown(rows, right=set(range(2, len(head))))])


def _conditions(result: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    clock = "processor time" if result["cpu"] else "elapsed time"
    return f"{result['size']:,} documents: {clock}; {result['machine']}, load {result['load']}; Python {result['python']}, {versions}"


def _names(saved: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return what any result has measured, in the order of the fullest."""
    fullest = sorted(saved, key=lambda result: -len(result["figures"]))
    found = dict.fromkeys(
        (figure["name"], figure["raw_is"], figure["unit"]) for result in fullest for figure in result["figures"]
    )
    return list(found)


def _one(result: dict[str, Any], name: str, raw_is: str) -> dict[str, Any] | None:
    figures: list[dict[str, Any]] = result["figures"]
    return next((figure for figure in figures if (figure["name"], figure["raw_is"]) == (name, raw_is)), None)


def _shown(value: float | None, unit: str | None = None) -> str:
    """Return a number with three significant digits, its unit standing in the row's first column; a share with four places."""
    if value is None:
        return ""
    if unit == "":
        return f"{value:.4f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _main() -> None:
    saved = results()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), saved), encoding="utf-8")
    PLOT.write_text(plot(saved), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(_ROOT)} and {PLOT.relative_to(_ROOT)} from {len(saved)} results")


if __name__ == "__main__":
    _main()
