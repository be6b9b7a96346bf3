"""How a training went, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalmesh_generation.training.checkpoints import Check


def draw_curves(checks: Sequence[Check], path: Path, *, title: str) -> None:
    """Write a PNG with the surprise of words and each property's validation error, over words learnt from."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 -- heavy, and only here
    from matplotlib.figure import Figure  # noqa: PLC0415

    names = list(checks[-1].mae) if checks else []
    panels = 1 + len(names)
    figure = Figure(figsize=(3.6 * panels, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    millions = [check.words / 1e6 for check in checks]
    for number, name in enumerate(["nats per word", *names]):
        axes = figure.add_subplot(1, panels, number + 1)
        if number:
            values = [check.mae[name] for check in checks]
            axes.plot(millions, values, marker=".", color="tab:blue")
            axes.set_title(f"{name}\nMAE {min(values):.4g}", fontsize=8)
        else:
            axes.plot(millions, [check.loss for check in checks], color="tab:gray", label="training")
            axes.plot(
                millions,
                [check.validation for check in checks],
                color="tab:blue",
                marker=".",
                label="validation",
            )
            axes.legend(fontsize=7)
            axes.set_title(f"{title}\n{name}", fontsize=8)
        axes.set_xlabel("million words", fontsize=8)
        axes.set_yscale("log")
        axes.tick_params(labelsize=7, which="both")
        axes.grid(visible=True, alpha=0.3)
    scratch = path.with_name(f"{path.name}.partial")
    figure.savefig(scratch, format="png", dpi=110)
    scratch.replace(path)
