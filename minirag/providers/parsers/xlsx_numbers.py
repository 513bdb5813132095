"""Numbers in a workbook as their cell shows them: dates, times, percentages, and plain numbers without rounding dust."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Final
from xml.etree.ElementTree import Element

from minirag.providers.parsers.xml_tree import child, children

__all__ = ["NumberFormats"]

# ECMA-376 part 1, 18.8.30: formats that need no definition.
_BUILT_IN: Final = {
    **dict.fromkeys((9, 10), "0%"),
    **dict.fromkeys((14, 15, 16, 17, 27, 28, 29, 30, 31, 36, 50, 51, 52, 53, 54, 55, 56, 57, 58), "y"),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 34, 35, 45, 47), "h"),
    22: "y h",
}
# What a format writes literally: in quotes, behind a backslash, or colours and conditions in brackets.
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h|m|s)[^\]]*\]', re.IGNORECASE | re.DOTALL)
_FIRST_DAY: Final = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook knows no time zones
_DAYS_LIMIT: Final = 2_958_466  # the year 10000
# In days: beyond this a time of day is that of a date.
_LONGEST_DURATION: Final = 1000
_DAYS_TO_1904: Final = 1462


class NumberFormats:
    """The number formats of a workbook's cell styles."""

    def __init__(self, root: Element | None, *, from_1904: bool) -> None:
        codes = {one.get("numFmtId"): one.get("formatCode", "") for one in children(child(root, "numFmts"), "numFmt")}
        self._offset = _DAYS_TO_1904 if from_1904 else 0
        self._kinds: list[str] = []
        for style in children(child(root, "cellXfs"), "xf"):
            identifier = style.get("numFmtId", "0")
            built_in = _BUILT_IN.get(int(identifier), "") if identifier.isdecimal() and len(identifier) < 9 else ""
            self._kinds.append(_kind(codes.get(identifier, built_in)))

    def shown(self, value: str, style: str) -> str:
        """Return a number as a cell of this style shows it, or the value itself if it is none."""
        try:
            number = float(value)
        except ValueError:
            return value.strip()
        if not math.isfinite(number):
            return value.strip()
        kind = self._kinds[int(style)] if style.isdecimal() and len(style) < 9 and int(style) < len(self._kinds) else ""
        if kind == "percent":
            return f"{number * 100:.10g}%"
        if kind and number >= 0 and number + self._offset < _DAYS_LIMIT:
            return self._moment(number, kind)
        digits = f"{number:.15g}"
        return digits if "e" not in digits else value.strip()

    def _moment(self, number: float, kind: str) -> str:
        seconds = round(number * 86_400)
        if kind == "time" and number < _LONGEST_DURATION:
            return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}".removesuffix(":00")
        moment = _FIRST_DAY + dt.timedelta(days=self._offset, seconds=seconds)
        if moment.time() == dt.time() and kind != "time":
            return moment.date().isoformat()
        return moment.isoformat(sep=" ").removesuffix(":00")


def _kind(code: str) -> str:
    """Return `date`, `time`, `percent` or nothing for a format's code."""
    code = _LITERAL.sub("", code.partition(";")[0]).lower()
    if "y" in code or "d" in code or ("m" in code and "h" not in code and "s" not in code):
        return "date"
    if "h" in code or "s" in code:
        return "time"
    return "percent" if "%" in code else ""
