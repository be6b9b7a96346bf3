"""Predictions over labels, a panel for each property, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from crystalmesh_client.plots.figures import BLUE, LABEL_SIZE, SMALL_SIZE, new_figure, plain_axes, save
from crystalmesh_property.evaluation.scoring import FloatArray, Score
from crystalmesh_property.properties import SCALES, Property

WORDS = {
    Property.FORMATION_ENERGY: ("Formation energy", "eV/atom"),
    Property.BAND_GAP: ("Band gap", "eV"),
    Property.ENERGY_ABOVE_HULL: ("Energy above hull", "eV/atom"),
    Property.BULK_MODULUS: ("Bulk modulus", "GPa"),
    Property.SHEAR_MODULUS: ("Shear modulus", "GPa"),
    Property.MAGNETIZATION: ("Magnetization", "μB/Å³"),
}
_COLUMNS = 3
_CELLS, _FEW = 46, 500
_SHADES = LinearSegmentedColormap.from_list("blues", ["#CFE3F2", BLUE, "#061D36"])
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
_SHOWN = (0.05, 99.95)
"""Percentiles of labels and predictions between which the axes reach."""


@dataclass(frozen=True, eq=False)
class Parity:
    """One property's predictions with their labels, in its unit."""

    score: Score
    judged_by: str  # what the labels are of
    truth: FloatArray  # (c,)
    value: FloatArray  # (c,)


def draw_parity(parities: Sequence[Parity], path: Path) -> None:
    """Write a PNG with a panel for each, where colour says how many crystals lie in a cell."""
    columns = min(_COLUMNS, len(parities))
    rows = -(-len(parities) // columns)
    figure = new_figure(3.5 * columns + 0.7, 3.55 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    cells = [_draw(panel, parity) for panel, parity in zip(panels, parities, strict=False)]
    most = max(float(np.max(np.asarray(each.get_array()))) for each in cells)
    for each in cells:
        each.set_norm(LogNorm(1, max(most, 2)))
    for panel in panels[len(parities) :]:
        panel.set_axis_off()
    bar = figure.colorbar(cells[0], ax=list(panels), shrink=0.6, aspect=30, pad=0.015)
    bar.set_label("Crystals in a cell", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
    bar.ax.yaxis.set_major_formatter(_PLAIN)
    save(figure, path)


def _draw(panel: Axes, parity: Parity) -> PolyCollection:
    name = parity.score.property
    quantity, unit = WORDS[name]
    logarithmic = SCALES[name].logarithmic
    low, high = _limits(parity, logarithmic=logarithmic)
    inside = [np.clip(each, low, high) for each in (parity.truth, parity.value)]
    extent = (np.log10(low), np.log10(high)) if logarithmic else (low, high)
    scale: Literal["linear", "log"] = "log" if logarithmic else "linear"
    few = parity.score.crystals < _FEW
    cells = panel.hexbin(
        *inside,
        gridsize=_CELLS // 2 if few else _CELLS,
        extent=(*extent, *extent),
        xscale=scale,
        yscale=scale,
        mincnt=1,
        cmap=_SHADES,
        linewidths=0.1,
    )
    panel.plot([low, high], [low, high], color="black", lw=0.7, ls=(0, (5, 4)), zorder=3)
    panel.set_xlim(low, high)
    panel.set_ylim(low, high)
    panel.set_aspect("equal")
    plain_axes(panel, f"DFT ({unit})", f"Predicted ({unit})")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 3.0)) if logarithmic else MaxNLocator(5))
        axis.set_major_formatter(_PLAIN)
        axis.set_minor_formatter(NullFormatter())
    panel.set_title(quantity, fontsize=LABEL_SIZE, fontweight="bold", loc="left")
    panel.set_title(parity.judged_by, fontsize=SMALL_SIZE, loc="right")
    panel.text(
        0.04,
        0.97,
        _figures(parity.score, unit),
        transform=panel.transAxes,
        fontsize=SMALL_SIZE,
        va="top",
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
    )
    return cells


def _limits(parity: Parity, *, logarithmic: bool) -> tuple[float, float]:
    """Where both axes begin and end; what lies outside is drawn at the edge."""
    both = np.concatenate([parity.truth, parity.value])
    low, high = np.percentile(np.log10(both) if logarithmic else both, _SHOWN)
    margin = 0.03 * max(high - low, 1e-6)
    ends = np.array([low - margin, high + margin])
    first, last = 10**ends if logarithmic else ends
    return float(first), float(last)


def _figures(score: Score, unit: str) -> str:
    logarithmic = SCALES[score.property].logarithmic
    return (
        f"MAE {score.mae:.3g} {f'log10({unit})' if logarithmic else unit}\n"
        f"{score.crystals:,} crystals\n"
        f"{score.coverage95:.1%} in their 95% interval"
    )
