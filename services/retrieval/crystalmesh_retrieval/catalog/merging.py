"""Keeps segments few: small ones become one, so that a catalog filled page by page is as fast as any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

SEGMENT_ROWS = 65_536
"""No segment grows beyond it by merging."""


class Rows(Protocol):
    """A file of rows."""

    @property
    def live_rows(self) -> int:
        """Rows to write when it is merged."""
        ...


def mergeable(segments: Sequence[Rows]) -> int:
    """How many of the last segments to make one: 0, or at least 2.

    Each is merged once the ones behind it are as large together, so a row is rewritten about as often as
    the number of rows can be halved, and sizes fall from segment to segment.
    """
    count, rows = 0, 0
    for behind, segment in enumerate(reversed(segments)):
        if behind and (segment.live_rows > rows or segment.live_rows + rows > SEGMENT_ROWS):
            break
        rows += segment.live_rows
        count = behind + 1
    return count if count > 1 else 0
