"""How atoms and cell move together: forces and displacements in one list of rows.

A row per atom, in Å and eV/Å. Where the cell moves, three rows for its strain, multiplied by a strain scale
of so many Å, which the optimizer chooses. Strain is counted from the cell as it is, not from the
first one, so its force is the virial and needs no derivative of a matrix logarithm.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_relaxation.relaxing.optimizers import MAX_STEP_ANGSTROM

GPA_IN_EV_PER_CUBIC_ANGSTROM = 1 / 160.21766208
_MAX_STRAIN_PER_STEP = 0.05
_EXPONENTIAL_TERMS = 8  # leave 1e-13 of the largest strain in a step


class CellMode(Enum):
    """What of the cell may move."""

    FIXED = "fixed"
    FULL = "full"
    VOLUME = "volume"


def excess_stress_gpa(stress_gpa: FloatArray, mode: CellMode, pressure_gpa: float) -> FloatArray:
    """The part of the stress that the cell gives way to, (3, 3); zero where it is at rest."""
    excess: FloatArray = (stress_gpa + stress_gpa.T) / 2 + pressure_gpa * np.eye(3)
    if mode is CellMode.VOLUME:
        excess = np.eye(3) * np.trace(excess) / 3
    return excess


def driving_rows(
    crystal: Crystal, forces: FloatArray, excess: FloatArray | None, strain_scale: float
) -> FloatArray:
    """Forces of the atoms (n, 3), and of the strain (3, 3) where there is an excess stress."""
    if excess is None:
        return forces
    virial = -crystal.volume * excess * GPA_IN_EV_PER_CUBIC_ANGSTROM
    return np.concatenate([forces, virial / strain_scale])


def longest_rows(n_rows: int, n_atoms: int, strain_scale: float) -> FloatArray:
    """How long each row of a displacement may be, (n_rows,): `moved` then takes it as it is.

    An optimizer that learns from its steps would learn wrongly from one that was not taken whole.
    """
    longest = np.full(n_rows, MAX_STEP_ANGSTROM)
    longest[n_atoms:] = np.minimum(MAX_STEP_ANGSTROM, _MAX_STRAIN_PER_STEP * strain_scale)
    return longest


def moved(crystal: Crystal, rows: FloatArray, strain_scale: float) -> Crystal:
    """The crystal after a displacement of n rows, or of n + 3 where its cell moves."""
    n_atoms = len(crystal)
    cell = crystal.cell
    if len(rows) > n_atoms:
        strain = rows[n_atoms:] / strain_scale
        largest = float(np.abs(strain).max())
        if largest > _MAX_STRAIN_PER_STEP:
            strain = strain * (_MAX_STRAIN_PER_STEP / largest)
        cell = cell @ _exponential(strain)
    frac_coords = crystal.frac_coords + rows[:n_atoms] @ np.linalg.inv(cell)
    return replace(crystal, cell=cell, frac_coords=frac_coords)


def _exponential(strain: FloatArray) -> FloatArray:
    """The matrix exponential of a small strain (3, 3); scipy's takes a third of a step's time here."""
    total = term = np.eye(3)
    for order in range(1, _EXPONENTIAL_TERMS + 1):
        term = term @ strain / order
        total = total + term
    return total
