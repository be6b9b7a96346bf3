"""How relaxations went: energy and largest force by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from crystalmesh_client.plots.figures import COLOURS, GREY, SMALL_SIZE, new_figure, plain_axes, shortened
from crystalmesh_client.trajectories import RelaxationTrajectory

_LOWEST_FORCE = 1e-4
"""Symmetry makes forces exactly zero, which a logarithmic axis cannot show."""


def plot_relaxations(
    trajectories: Sequence[RelaxationTrajectory], *, max_force_ev_per_angstrom: float | None = None
) -> Figure:
    """Energy above the last one, and largest force, by step; a line a crystal.

    With `max_force_ev_per_angstrom` the threshold is drawn. ValueError without trajectories.
    """
    if not trajectories:
        raise ValueError("there are no trajectories to draw")
    figure = new_figure(6, 5)
    energies, forces = figure.subplots(2, 1, sharex=True)
    named = len(trajectories) <= len(COLOURS)
    for number, trajectory in enumerate(trajectories):
        steps = [frame.step for frame in trajectory]
        style = {
            "color": COLOURS[number] if named else GREY,
            "lw": 1.5 if named else 0.8,
            "marker": "o" if named else "",
            "ms": 3,
            "label": _name(trajectory) if named else None,
        }
        energies.plot(steps, _above_the_last_mev(trajectory), **style)
        forces.plot(steps, _largest_forces(trajectory), **style)
    plain_axes(energies, "", "Energy above the last\n(meV/atom)")
    plain_axes(forces, "Step", "Largest force (eV/Å)")
    forces.set_yscale("log")
    energies.axhline(0, color=GREY, lw=0.6, zorder=0)
    if max_force_ev_per_angstrom is not None:
        threshold = forces.axhline(max_force_ev_per_angstrom, color="black", lw=0.9, ls="--")
        forces.legend([threshold], ["threshold"], fontsize=SMALL_SIZE, frameon=False)
    if named:
        energies.legend(fontsize=SMALL_SIZE, frameon=False)
    forces.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _name(trajectory: RelaxationTrajectory) -> str:
    end = trajectory.end
    return shortened(end.id) if end.converged else f"{shortened(end.id)} ({end.stop_reason})"


def _above_the_last_mev(trajectory: RelaxationTrajectory) -> list[float]:
    last = trajectory.end.energy_ev_per_atom
    return [1000 * (frame.energy_ev_per_atom - last) for frame in trajectory]


def _largest_forces(trajectory: RelaxationTrajectory) -> list[float]:
    forces = (frame.max_force_ev_per_angstrom for frame in trajectory)
    return [np.nan if force is None else max(force, _LOWEST_FORCE) for force in forces]
