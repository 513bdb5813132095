"""A plot of a few lines on logarithmic axes, as SVG that reads on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Line", "Panel", "draw"]

_WIDTH, _HEIGHT = 760, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 36, 48, 48
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #3a3f47 }
.title { font-weight: 600; font-size: 13px }
.grid { stroke: #8a919c; stroke-opacity: .35; stroke-width: 1 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
.line-0 { stroke: #7d8590 } .dot-0 { fill: #7d8590 }
.line-1 { stroke: #0f7fd6 } .dot-1 { fill: #0f7fd6 }
@media (prefers-color-scheme: dark) {
text { fill: #d7dce3 }
.line-0 { stroke: #9aa3ae } .dot-0 { fill: #9aa3ae }
.line-1 { stroke: #4cb1ff } .dot-1 { fill: #4cb1ff }
}
"""


@dataclass(frozen=True)
class Line:
    """Points under a name, by growing first coordinate; all coordinates above zero."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One diagram with both axes logarithmic.

    Attributes:
        across: what the horizontal axis counts.
    """

    title: str
    across: str
    lines: Sequence[Line]


def draw(panels: Sequence[Panel], *, description: str) -> str:
    """Return the panels beside each other."""
    width = _WIDTH // max(1, len(panels))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(description)}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * width} 0)">', *_panel(panel, width), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, width: int) -> list[str]:
    points = [point for line in panel.lines for point in line.points]
    parts = [f'<text class="title" x="{_LEFT}" y="20">{escape(panel.title)}</text>']
    if not points:
        return parts
    across = _decades([x for x, _ in points])
    up = _decades([y for _, y in points])

    def x_of(value: float) -> float:
        return _LEFT + _share(value, across) * (width - _LEFT - _RIGHT)

    def y_of(value: float) -> float:
        return _HEIGHT - _BOTTOM - _share(value, up) * (_HEIGHT - _TOP - _BOTTOM)

    for value in _ticks(up):
        y = y_of(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{width - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in _ticks(across):
        x = x_of(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value:,.0f}</text>')
    middle = (_LEFT + width - _RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(panel.across)}</text>')
    for number, line in enumerate(panel.lines):
        places = [(x_of(x), y_of(y)) for x, y in line.points]
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        if steps:
            parts.append(f'<path class="line line-{number}" d="M{steps}"/>')
        parts += [f'<circle class="dot-{number}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places]
        left = _LEFT + 120 * number
        parts.append(f'<circle class="dot-{number}" cx="{left + 4}" cy="34" r="4"/>')
        parts.append(f'<text x="{left + 13}" y="38">{escape(line.name)}</text>')
    return parts


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten around the values, as exponents."""
    low, high = math.floor(math.log10(min(values)) + 1e-9), math.ceil(math.log10(max(values)) - 1e-9)
    return low, max(high, low + 1)


def _ticks(exponents: tuple[float, float]) -> list[float]:
    return [10.0**exponent for exponent in range(int(exponents[0]), int(exponents[1]) + 1)]


def _share(value: float, exponents: tuple[float, float]) -> float:
    low, high = exponents
    return (math.log10(value) - low) / (high - low)
