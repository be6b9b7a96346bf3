"""What a training shows: a bar on a terminal, a line and what it writes per check anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from crystalmesh_common.runtime.training_screen import TrainingScreen

if TYPE_CHECKING:
    from crystalmesh_generation.training.checkpoints import Check
    from crystalmesh_generation.training.course import Report


class Screen(TrainingScreen):
    """The console of one training."""

    def __init__(self, name: str, console: Console | None = None) -> None:
        super().__init__(name, "corpus", console)

    def training(self, report: Report) -> None:
        """Told after every step."""
        said = f"step {report.step} loss {report.loss:.3f} {report.words_per_second:.0f} words/s"
        self._step(report.spent, said)
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
