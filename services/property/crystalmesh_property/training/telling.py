"""What a training shows: a bar on a terminal, a line per check anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from crystalmesh_property.evaluation.scoring import Score
    from crystalmesh_property.training.trainer import Report

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
        self._name = name
        self._packing = self._bar.add_task("graphs", total=None, said="", visible=False)
        self._training = self._bar.add_task(name, total=_UNITS, said="", visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def packing(self, table: str, done: int, rows: int) -> None:
        """Told while graphs are made."""
        self._bar.update(
            self._packing, completed=done, total=rows, said=f"{table} {done}/{rows}", visible=True
        )

    def training(self, report: Report) -> None:
        """Told after every step."""
        self._bar.update(self._packing, visible=False)
        rate = f"{report.crystals_per_second:.0f}/s"
        said = f"step {report.step} epoch {report.epoch} loss {report.loss:.3f} {rate}"
        self._bar.update(self._training, completed=min(1.0, report.spent) * _UNITS, said=said, visible=True)
        if report.check is not None:
            check = report.check
            errors = "  ".join(f"{name} {value:.4f}" for name, value in check.mae.items())
            self._console.print(
                f"{report.spent:4.0%}  step {check.step}  epoch {report.epoch}  {check.seconds:.0f} s  "
                f"{report.crystals_per_second:.0f} crystals/s  loss {check.loss:.4f}  MAE {errors}",
                highlight=False,
                soft_wrap=True,
            )

    def scores(self, scores: Sequence[Score], run: Path) -> None:
        """Told at the end."""
        table = Table(
            "property", "crystals", "MAE", "RMSE", "MAE of mean", "MAE of median", "in 95% interval"
        )
        for each in scores:
            table.add_row(
                str(each.property),
                str(each.crystals),
                *(f"{value:.4f}" for value in (each.mae, each.rmse, each.mae_of_mean, each.mae_of_median)),
                f"{each.coverage95:.1%}",
            )
        self._bar.stop()
        self._console.print(table)
        self._console.print(f"written to {run}", highlight=False, soft_wrap=True)
