"""Equations of state: what was computed, the fit, and its minimum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crystalmesh_client.equations_of_state import EquationOfState
from crystalmesh_client.plots.figures import (
    BLUE,
    GREY,
    LABEL_SIZE,
    SMALL_SIZE,
    VERMILION,
    legend_below,
    new_figure,
    plain_axes,
    shortened,
)

MOST_PANELS = 12
_PANELS_PER_ROW = 3


def plot_equations_of_state(fits: Sequence[EquationOfState]) -> Figure:
    """A panel for each crystal: energy above the minimum by volume. ValueError for none or more than 12."""
    if not 1 <= len(fits) <= MOST_PANELS:
        raise ValueError(f"one picture holds 1 to {MOST_PANELS} equations of state, not {len(fits)}")
    columns = min(math.ceil(math.sqrt(len(fits))), _PANELS_PER_ROW)
    rows = -(-len(fits) // columns)
    single = len(fits) == 1
    figure = new_figure(5.5 if single else 3.6 * columns, 4.2 if single else 3.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, fit in zip(panels, fits, strict=False):
        _draw(panel, fit)
    for panel in panels[len(fits) :]:
        panel.set_axis_off()
    legend_below(panels[0])
    return figure


def _draw(panel: Axes, fit: EquationOfState) -> None:
    atoms = len(fit.crystal)
    volumes = fit.volumes_cubic_angstrom
    minimum = fit.equilibrium_volume_cubic_angstrom
    curve = np.linspace(volumes.min(), volumes.max(), 200)

    def above(energies: np.ndarray) -> np.ndarray:
        return 1000 * (energies - fit.equilibrium_energy_ev) / atoms

    panel.plot(curve / atoms, above(fit.energy_at(curve)), color=BLUE, lw=1.5, label="Birch-Murnaghan fit")
    panel.plot(
        volumes / atoms, above(fit.energies_ev), "o", color="black", ms=4.5, mfc="white", label="computed"
    )
    if volumes.min() <= minimum <= volumes.max():
        panel.plot(minimum / atoms, 0, "D", color=VERMILION, ms=5.5, label="minimum", zorder=4)
        panel.axvline(minimum / atoms, ymax=0.6, color=GREY, lw=0.6, ls=":", zorder=0)
    plain_axes(panel, "Volume (Å³/atom)", "Energy above the minimum\n(meV/atom)")
    panel.margins(y=0.08)
    panel.set_title(shortened(fit.id), fontsize=LABEL_SIZE)
    panel.text(
        0.5,
        0.96,
        _figures(fit),
        transform=panel.transAxes,
        fontsize=SMALL_SIZE,
        color="black" if fit.reliable else VERMILION,
        ha="center",
        va="top",
    )


def _figures(fit: EquationOfState) -> str:
    numbers = (
        f"$V_0$ = {fit.equilibrium_volume_cubic_angstrom / len(fit.crystal):.2f} Å³/atom\n"
        f"$B_0$ = {fit.bulk_modulus_gpa:.1f} GPa\n"
        f"$B_0'$ = {fit.bulk_modulus_derivative:.2f}"
    )
    return numbers if fit.reliable else f"{numbers}\nnot reliable"
