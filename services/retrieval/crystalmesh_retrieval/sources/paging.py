"""Rows of a local file as pages, whose cursor is the number of rows before."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from crystalmesh_retrieval.catalog.material import MaterialInput
from crystalmesh_retrieval.sources.source import PAGE_ROWS, BadRow, Page


def rows_before(cursor: str) -> int:
    """How many rows a cursor of `paged` has behind it."""
    return int(cursor or 0)


def paged(
    rows: Iterator[MaterialInput | BadRow], cursor: str, total_rows: int | None = None
) -> Iterator[Page]:
    """Pages of the rows that come behind the cursor; `rows` begins with the first of them."""
    position = rows_before(cursor)
    while page := list(islice(rows, PAGE_ROWS)):
        position += len(page)
        yield Page(page, str(position), total_rows)
