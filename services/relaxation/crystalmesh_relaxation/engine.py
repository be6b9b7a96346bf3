"""What a machine-learned potential does for this service. No gRPC, no protobuf."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import CrystalMeshError


class Quantity(Enum):
    """Something that a potential can compute for a crystal as it is."""

    ENERGY = "energy"
    FORCES = "forces"
    STRESS = "stress"
    MAGNETIC_MOMENTS = "magnetic moments"


class Network(Enum):
    """Which code evaluates the potential."""

    REFERENCE = "reference"  # the package's own: its numbers to the last digit
    FAST = "fast"  # ours: its numbers to within its own rounding, several times as fast


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a potential says of a crystal of n atoms. What was not asked for is None."""

    n_atoms: int
    energy_ev: float  # of the cell
    forces_ev_per_angstrom: FloatArray | None = None  # (n, 3)
    stress_gpa: FloatArray | None = None  # (3, 3), positive: stretched, wants to shrink
    magnetic_moments_mu_b: FloatArray | None = None  # (n,), magnitudes

    @property
    def energy_ev_per_atom(self) -> float:
        return self.energy_ev / self.n_atoms

    @property
    def is_finite(self) -> bool:
        """Whether every number in it is one."""
        arrays = (self.forces_ev_per_angstrom, self.stress_gpa, self.magnetic_moments_mu_b)
        return math.isfinite(self.energy_ev) and all(a is None or bool(np.isfinite(a).all()) for a in arrays)


@dataclass(frozen=True)
class PotentialInfo:
    """What there is to know of a potential before using it."""

    name: str
    version: str
    license: str
    description: str
    atomic_numbers: tuple[int, ...]  # known elements, ascending
    quantities: frozenset[Quantity]
    device: str
    cutoff_angstrom: float  # neighbours within it count as edges


def estimated_edges(crystal: Crystal, cutoff_angstrom: float) -> float:
    """About how many neighbours its atoms have within a cutoff, from its density alone.

    A network's time and memory follow its edges, not its atoms. Cheap, and safe from any thread.
    """
    n_atoms = len(crystal)
    return n_atoms * n_atoms / crystal.volume * 4 / 3 * math.pi * cutoff_angstrom**3


class Potential(Protocol):
    """A loaded potential. Called from one thread at a time."""

    @property
    def info(self) -> PotentialInfo:
        """The same for as long as the potential lives."""
        ...

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> Sequence[Evaluation | CrystalMeshError]:
        """One outcome per crystal, in order; one crystal's failure leaves the others alone.

        The energy is always computed. Crystals are valid (`validity.check_crystal`).
        """
        ...
