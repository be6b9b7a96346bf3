"""What all pictures share: size, type, colours that the colour-blind can tell apart, files."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, without the yellow, which is too pale for lines on white.
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
GREY = "#767676"
LABEL_SIZE = 10
SMALL_SIZE = 8.5
SUFFIXES = (".png", ".svg", ".pdf")

_LONGEST_NAME = 24
_DOTS_PER_INCH = 200


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure whose layout keeps labels inside."""
    return Figure(figsize=(width_inches, height_inches), layout="constrained", facecolor="white")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format of the suffix, .png, .svg or .pdf; ValueError for another one."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path.name}: pictures are written as {', '.join(SUFFIXES)}")
    figure.savefig(path, dpi=_DOTS_PER_INCH)


def plain_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Label the axes and take away what carries no information."""
    axes.set_xlabel(x_label, fontsize=LABEL_SIZE)
    axes.set_ylabel(y_label, fontsize=LABEL_SIZE)
    axes.tick_params(labelsize=SMALL_SIZE)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(axes: Axes) -> None:
    """The names of what these axes show, under the picture, where they cover nothing."""
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=3,
            fontsize=SMALL_SIZE,
            frameon=False,
        )


def with_subscripts(formula: str) -> str:
    """The formula as it is printed: "LiFePO₄"."""
    return formula.translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def shortened(name: str) -> str:
    """A name that fits beside a point."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
