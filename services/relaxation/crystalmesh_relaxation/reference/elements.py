"""Energies of the elements as the potential sees them, on the scale of a DFT data set.

A formation energy is counted from the ground states of the elements. Where the entries hold an element's
ground state, its energy is the potential's energy of it. Where they hold only a higher polymorph (the cell of
sulphur's ground state has 128 atoms), what DFT says the polymorph lies higher is taken off.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Potential
from crystalmesh_relaxation.relaxing.in_flight import relax_in_flight
from crystalmesh_relaxation.relaxing.task import RelaxationTask, RelaxOptions
from crystalmesh_relaxation.stability.formulas import amounts_of

_FACE_CENTRED = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
_BODY_CENTRED = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])


def absent_ground_states() -> list[Crystal]:
    """Ground states that MP-20's files lack: body-centred chromium and face-centred neon."""
    return [
        Crystal(2.87 * _BODY_CENTRED, np.array([24]), np.zeros((1, 3)), "Cr"),
        Crystal(4.46 * _FACE_CENTRED, np.array([10]), np.zeros((1, 3)), "Ne"),
    ]


def energies_of_ground_states(potential: Potential, options: RelaxOptions) -> dict[str, float]:
    """The potential's energy per atom of each of them, by symbol."""
    energies: dict[str, float] = {}
    tasks = [RelaxationTask(crystal, options) for crystal in absent_ground_states()]
    for task, result in relax_in_flight(potential, tasks, max_edges=1.0):
        if isinstance(result, CrystalMeshError) or not result.converged:
            raise ValueError(f"the ground state of {task.crystal.id} could not be relaxed")
        energies[task.crystal.id] = result.final.energy_ev_per_atom
    return energies


def elemental_energies(
    entries: pd.DataFrame, dft_formation_energies: Mapping[str, float], ground_states: Mapping[str, float]
) -> dict[str, float]:
    """Energy per atom by symbol, of every element that has an entry or a ground state.

    `entries` have `id`, `formula`, `energy_ev_per_atom` and `converged`; the formation energies are by id.
    """
    lowest: dict[str, tuple[float, float]] = {}  # DFT's formation energy and the potential's energy
    relaxed = entries[entries["converged"]]
    for entry_id, formula, energy in zip(
        relaxed["id"], relaxed["formula"], relaxed["energy_ev_per_atom"].astype(float), strict=True
    ):
        amounts = amounts_of(formula)
        if len(amounts) > 1 or entry_id not in dft_formation_energies:
            continue
        (symbol,) = amounts
        above = dft_formation_energies[entry_id]
        if symbol not in lowest or above < lowest[symbol][0]:
            lowest[symbol] = (above, energy)
    found = {symbol: energy - above for symbol, (above, energy) in lowest.items()}
    return dict(sorted({**found, **ground_states}.items()))
