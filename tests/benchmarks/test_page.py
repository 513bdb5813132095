"""The performance page says what the saved results say."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from tests.benchmarks.page import PAGE, PLOT, page, plot, results
from tests.benchmarks.plot import Line, Panel, draw


def test_the_page_and_its_plot_are_written_from_the_saved_results() -> None:
    """Writing them anew changes nothing; else: `python -m tests.benchmarks.page`."""
    saved = results()
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, saved) == text
    assert PLOT.read_text(encoding="utf-8") == plot(saved)


def test_every_saved_figure_stands_on_the_page() -> None:
    """Each figure's name is in the table, and each size has a column."""
    text = PAGE.read_text(encoding="utf-8")
    for result in results():
        assert f"{result['size']:,}" in text
        for figure in result["figures"]:
            assert f"| {figure['name']}" in text


def test_a_plot_places_larger_values_higher_and_further_right() -> None:
    """Both axes are logarithmic: a tenfold step is as long anywhere."""
    drawn = ElementTree.fromstring(
        draw([Panel("t", "n", [Line("a", [(10, 1), (100, 10), (1000, 100)])])], description="d < e")
    )
    circles = [element for element in drawn.iter() if element.get("r") == "3.5"]
    across, down = ([float(str(circle.get(name))) for circle in circles] for name in ("cx", "cy"))
    assert across[1] - across[0] == across[2] - across[1] > 0
    assert down[0] - down[1] == down[1] - down[2] > 0
