"""What a training shows: a bar on a terminal, a line per check anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from crystalmesh_common.runtime.training_screen import TrainingScreen

if TYPE_CHECKING:
    from crystalmesh_property.evaluation.scoring import Score
    from crystalmesh_property.training.trainer import Report


class Screen(TrainingScreen):
    """The console of one training."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        super().__init__(name, "graphs", console)

    def training(self, report: Report) -> None:
        """Told after every step."""
        rate = f"{report.crystals_per_second:.0f}/s"
        self._step(report.spent, f"step {report.step} epoch {report.epoch} loss {report.loss:.3f} {rate}")
        if report.check is not None:
            check = report.check
            errors = "  ".join(f"{name} {value:.4f}" for name, value in check.mae.items())
            self._line(
                f"{report.spent:4.0%}  step {check.step}  epoch {report.epoch}  {check.seconds:.0f} s  "
                f"{report.crystals_per_second:.0f} crystals/s  loss {check.loss:.4f}  MAE {errors}"
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
        self._line(f"written to {run}")
