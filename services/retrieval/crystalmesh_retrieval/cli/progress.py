"""A bar of rows on standard error, where that is a terminal."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class RowProgress:
    """Says how many rows are done. Of how many, it may learn on the way."""

    def __init__(self, doing: str, *, hidden: bool = False) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=hidden or not console.is_terminal
        )
        self._task = self._bar.add_task(doing, total=None)
        self._done = 0

    def reached(self, rows: int, total: int | None) -> None:
        self._done = rows
        self._bar.update(self._task, completed=rows, total=total)

    def doing(self, what: str, rows: int, total: int) -> None:
        """Say what is done now, and how much of it."""
        self._bar.update(self._task, description=what)
        self.reached(rows, total)

    def advance(self, rows: int, total: int | None) -> None:
        self.reached(self._done + rows, total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
