"""Times as people type and read them: "90s", "10m", "1h30m"."""

from __future__ import annotations

import re

from crystalmesh_client.cli.reports import usage_error

_SECONDS = {"d": 86_400, "h": 3600, "m": 60, "min": 60, "s": 1}
_PART = r"(\d{1,9}(?:\.\d{1,6})?)\s*(d|h|min|m|s)"
_WHOLE = re.compile(rf"\s*(?:{_PART}\s*)+")


def seconds_of_text(text: str) -> float:
    """The seconds of a text like "10m"; of a number alone, too. Exit code 2 for what is none."""
    if re.fullmatch(r"\s*\d{1,9}(\.\d{1,6})?\s*", text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        usage_error(f"{text!r} is no time: 90s, 10m, 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text))


def in_minutes(seconds: float) -> str:
    """Minutes and seconds, "1:05"; from an hour on with hours, "2:01:05"."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
