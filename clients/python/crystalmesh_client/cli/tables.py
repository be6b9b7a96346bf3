"""How tables look on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPE_WIDTH = 1000


def standard_output() -> Console:
    """Where tables go. A pipe has no width that numbers would have to fit into."""
    from rich.console import Console  # noqa: PLC0415 -- as below

    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def plain_table(*columns: str) -> Table:
    """A table without boxes, which also survives being copied into a message."""
    from rich.table import Table  # noqa: PLC0415 -- rich is slow to import, and --json needs none of it

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        # The first column names things and the last one may hold sentences; numbers never wrap.
        table.add_column(name, overflow="fold", no_wrap=0 < number < len(columns) - 1, min_width=8)
    return table
