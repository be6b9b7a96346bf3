"""Energy as a function of volume, by squeezing and stretching a crystal without changing its shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_relaxation.engine import Evaluation, Quantity
from crystalmesh_relaxation.mechanics.birch_murnaghan import BirchMurnaghan, fit_birch_murnaghan
from crystalmesh_relaxation.mechanics.rest import relaxing_all, relaxing_atoms
from crystalmesh_relaxation.procedure import Procedure

MAX_FORCE_EV_PER_ANGSTROM = 0.01
_MAX_RESIDUAL_SHARE = 0.02
"""Of the range of the energies. CHGNet is rough enough for up to 1.6 %; what is more is another curve."""


@dataclass(frozen=True)
class EquationOfStateOptions:
    """Which volumes, and what happens at each."""

    relax_first: bool = True
    max_volume_strain: float = 0.1
    points: int = 11
    keep_fractional_coordinates: bool = False

    @property
    def quantities(self) -> frozenset[Quantity]:
        """What a potential has to give."""
        if self.relax_first:
            return frozenset({Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS})
        if self.keep_fractional_coordinates:
            return frozenset({Quantity.ENERGY})
        return frozenset({Quantity.ENERGY, Quantity.FORCES})


@dataclass(frozen=True)
class VolumePoint:
    """The energy of a cell at one volume."""

    volume_cubic_angstrom: float
    energy_ev: float


@dataclass(frozen=True, eq=False)
class EquationOfState:
    """A fitted curve, what it was fitted to, and whether to believe it."""

    crystal: Crystal  # at the starting volume
    points: Sequence[VolumePoint]  # by rising volume
    curve: BirchMurnaghan
    unreliable_reason: str  # empty where there is none

    @property
    def residual_ev_per_atom(self) -> float:
        return self.curve.residual_ev / len(self.crystal)

    @property
    def reliable(self) -> bool:
        return not self.unreliable_reason


def fit_equation_of_state(crystal: Crystal, options: EquationOfStateOptions) -> Procedure[EquationOfState]:
    """Evaluate a crystal at volumes spread evenly about its own, and fit a Birch-Murnaghan curve.

    All lattice vectors are scaled alike, so that the bulk modulus of a crystal that is not cubic is the Voigt
    average. What makes the fit doubtful is told in the result.
    """
    doubts: list[str] = []
    if options.relax_first:
        relaxation = yield from relaxing_all(crystal, MAX_FORCE_EV_PER_ANGSTROM)
        crystal = relaxation.crystal
        if not relaxation.converged:
            doubts.append(f"the first relaxation did not converge ({relaxation.stop_reason.value})")
    strain = options.max_volume_strain
    points: list[VolumePoint] = []
    for ratio in np.linspace(1 - strain, 1 + strain, options.points):
        scaled = replace(crystal, cell=crystal.cell * ratio ** (1 / 3))
        evaluation, settled = yield from _settling(scaled, keep=options.keep_fractional_coordinates)
        points.append(VolumePoint(scaled.volume, evaluation.energy_ev))
        if not settled:
            doubts.append(f"the atoms did not come to rest at {scaled.volume:.2f} Å³")
    volumes = np.array([point.volume_cubic_angstrom for point in points])
    energies = np.array([point.energy_ev for point in points])
    curve = fit_birch_murnaghan(volumes, energies)
    doubts.extend(_doubts(curve, volumes, energies))
    return EquationOfState(crystal, points, curve, "; ".join(doubts))


def _settling(crystal: Crystal, *, keep: bool) -> Procedure[tuple[Evaluation, bool]]:
    """The evaluation of a crystal once its atoms are at rest, and whether they are; as it is, to `keep`."""
    if keep:
        return (yield crystal), True
    relaxation = yield from relaxing_atoms(crystal, MAX_FORCE_EV_PER_ANGSTROM)
    return relaxation.final, relaxation.converged


def _doubts(curve: BirchMurnaghan, volumes: FloatArray, energies: FloatArray) -> Iterator[str]:
    """What speaks against a fit."""
    if not curve.has_minimum:
        yield "the curve has no minimum"  # else its modulus is positive
    elif not volumes[0] < curve.volume_cubic_angstrom < volumes[-1]:
        yield "the minimum lies outside of the volumes that were evaluated"
    spread = float(np.ptp(energies))
    if not curve.residual_ev <= _MAX_RESIDUAL_SHARE * spread:
        yield "the energies do not lie on one smooth curve"
