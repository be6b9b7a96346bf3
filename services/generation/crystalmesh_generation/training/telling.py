"""What a training shows: a bar on a terminal, a line and what it writes per check anywhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from crystalmesh_generation.training.checkpoints import Check
    from crystalmesh_generation.training.course import Report

_UNITS = 1000


class Screen:
    """The console of one training."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._preparing = self._bar.add_task("corpus", total=None, said="", visible=False)
        self._training = self._bar.add_task(name, total=_UNITS, said="", visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def preparing(self, what: str, done: int, rows: int) -> None:
        """Told while the corpus is made."""
        said = f"{what} {done}/{rows}"
        self._bar.update(self._preparing, completed=done, total=rows, said=said, visible=True)

    def training(self, report: Report) -> None:
        """Told after every step."""
        self._bar.update(self._preparing, visible=False)
        said = f"step {report.step} loss {report.loss:.3f} {report.words_per_second:.0f} words/s"
        self._bar.update(self._training, completed=min(1.0, report.spent) * _UNITS, said=said, visible=True)
        if report.check is not None:
            self._check(report, report.check)

    def _check(self, report: Report, check: Check) -> None:
        errors = "  ".join(f"{name} {value:.3f}" for name, value in check.mae.items())
        self._line(
            f"{report.spent:4.0%}  step {check.step}  {check.seconds:.0f} s  {check.words / 1e6:.2f}M words  "
            f"{report.words_per_second:.0f}/s  loss {check.loss:.4f}  validation {check.validation:.4f}  "
            f"MAE {errors}"
        )
        for sample in check.samples:
            self._line(f"      {sample}")

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
