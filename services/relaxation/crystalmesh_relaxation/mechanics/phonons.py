"""The vibrations of a crystal at Gamma, and whether it falls apart along one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_relaxation.engine import Quantity
from crystalmesh_relaxation.mechanics.force_constants import measuring_force_constants
from crystalmesh_relaxation.mechanics.rest import relaxing_all
from crystalmesh_relaxation.mechanics.supercell import Repeats, supercell
from crystalmesh_relaxation.procedure import Procedure

MAX_FORCE_EV_PER_ANGSTROM = 0.001
_THZ = 15.633304
"""The frequency of one atomic mass unit on a spring of 1 eV/Å²."""


@dataclass(frozen=True)
class PhononOptions:
    """How to shake, and what counts as falling apart."""

    relax_first: bool = True
    displacement_angstrom: float = 0.01
    repeats: Repeats = (1, 1, 1)
    instability_tolerance_thz: float = 0.3

    @property
    def quantities(self) -> frozenset[Quantity]:
        """What a potential has to give."""
        forces = frozenset({Quantity.ENERGY, Quantity.FORCES})
        return forces | {Quantity.STRESS} if self.relax_first else forces


@dataclass(frozen=True, eq=False)
class PhononMode:
    """One pattern of vibration."""

    frequency_thz: float  # negative: imaginary
    displacements: FloatArray  # (m, 3), Cartesian, of length 1 over all atoms


@dataclass(frozen=True, eq=False)
class Phonons:
    """The vibrations of a supercell of m atoms at Gamma."""

    crystal: Crystal  # the supercell
    frequencies_thz: FloatArray  # (3m,), ascending, an imaginary one negative
    unstable_modes: Sequence[PhononMode]  # the worst first
    relaxation_converged: bool  # True where none was asked for

    @property
    def dynamically_stable(self) -> bool:
        return not self.unstable_modes


def compute_phonons(crystal: Crystal, options: PhononOptions) -> Procedure[Phonons]:
    """Move the atoms of a supercell one by one, both ways along each axis, and solve for its vibrations."""
    converged = True
    if options.relax_first:
        relaxation = yield from relaxing_all(crystal, MAX_FORCE_EV_PER_ANGSTROM)
        crystal, converged = relaxation.crystal, relaxation.converged
    constants = yield from measuring_force_constants(crystal, options.repeats, options.displacement_angstrom)
    whole = supercell(crystal, options.repeats)
    frequencies, patterns = vibrations(constants, atomic_masses[whole.numbers])
    unstable = [
        PhononMode(float(frequencies[mode]), patterns[mode])
        for mode in np.flatnonzero(frequencies < -options.instability_tolerance_thz)
    ]
    return Phonons(whole, frequencies, unstable, converged)


def vibrations(constants: FloatArray, masses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Frequencies (3m,) in THz, ascending, and displacements (3m, m, 3) of m atoms of masses in u on springs.

    An imaginary frequency is written as minus its magnitude.
    """
    roots = np.sqrt(np.repeat(masses, 3))
    curvatures, modes = np.linalg.eigh(constants / np.outer(roots, roots))
    patterns = (modes / roots[:, None]).T
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    return np.sign(curvatures) * np.sqrt(np.abs(curvatures)) * _THZ, patterns.reshape(len(roots), -1, 3)
