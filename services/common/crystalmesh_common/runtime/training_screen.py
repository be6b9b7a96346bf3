"""The console of a training: a bar on a terminal, and lines anywhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_UNITS = 1000


class TrainingScreen:
    """Shows what is prepared, and then how far the training is."""

    def __init__(self, name: str, preparing: str, console: Console | None = None) -> None:
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._preparing = self._bar.add_task(preparing, total=None, said="", visible=False)
        self._training = self._bar.add_task(name, total=_UNITS, said="", visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def preparing(self, what: str, done: int, total: int) -> None:
        """Told while what is to be learnt from is made."""
        said = f"{what} {done}/{total}"
        self._bar.update(self._preparing, completed=done, total=total, said=said, visible=True)

    def _step(self, spent: float, said: str) -> None:
        """Show how much of the budget is spent."""
        self._bar.update(self._preparing, visible=False)
        self._bar.update(self._training, completed=min(1.0, spent) * _UNITS, said=said, visible=True)

    def _line(self, text: str) -> None:
        """A line that stays, whatever is in it."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
