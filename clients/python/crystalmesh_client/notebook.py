"""How results show in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_table(*rows: tuple[str, str]) -> str:
    """Names and values, one pair a row."""
    cells = "".join(f"<tr>{_head(name)}<td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{cells}</table>"


def html_grid(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of many things, one a row, under the names of the columns."""
    head = "".join(_head(name) for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _head(name: str) -> str:
    return f"<th style='text-align:left'>{html.escape(name)}</th>"
