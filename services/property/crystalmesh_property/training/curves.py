"""How a training went, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalmesh_property.training.checkpoints import Check


def draw_curves(checks: Sequence[Check], path: Path, *, title: str) -> None:
    """Write a PNG with the training loss and each property's validation error over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 -- heavy, and only here
    from matplotlib.figure import Figure  # noqa: PLC0415

    names = list(checks[-1].mae) if checks else []
    figure = Figure(figsize=(4 * (1 + len(names)), 3.2))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.6 / (1 + len(names)) / 4, right=0.98, bottom=0.15, top=0.9, wspace=0.35)
    steps = [check.step for check in checks]
    for number, name in enumerate(["training loss", *names]):
        axes = figure.add_subplot(1, 1 + len(names), number + 1)
        values = [check.mae[name] if number else check.loss for check in checks]
        axes.plot(steps, values, marker=".", color="tab:blue" if number else "tab:gray")
        if number:
            axes.set_yscale("log")
            axes.set_title(f"{name}: {min(values):.4g}", fontsize=9)
        else:
            axes.set_title(title, fontsize=9)
        axes.set_xlabel("steps", fontsize=8)
        axes.set_ylabel("validation MAE" if number else name, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(visible=True, alpha=0.3)
    scratch = path.with_name(f"{path.name}.partial")
    figure.savefig(scratch, format="png", dpi=110)
    scratch.replace(path)
