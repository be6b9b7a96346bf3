"""A potential whose statistics are known on paper, and a run of any potential without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.dynamics.task import DynamicsFrame, DynamicsReport, DynamicsTask
from crystalmesh_relaxation.engine import Evaluation, Potential, PotentialInfo, Quantity

GPA_PER_EV_PER_CUBIC_ANGSTROM = 160.21766208


@dataclass(frozen=True)
class Springs:
    """Every atom on a spring to its place in `rest`, whose centre goes along; and a cell that resists.

    The 3n - 3 motions within the crystal are harmonic, all of one stiffness.
    """

    rest: Crystal
    stiffness: float = 5.0  # eV/Å²; a negative one pushes the atoms away
    bulk_modulus_gpa: float = 0.0
    info = PotentialInfo(
        name="springs",
        version="1",
        license="Apache-2.0",
        description="harmonic",
        atomic_numbers=tuple(range(1, 119)),
        quantities=frozenset({Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS}),
        device="cpu",
        cutoff_angstrom=6.0,
    )

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> list[Evaluation | CrystalMeshError]:
        return [self.evaluation(crystal) for crystal in crystals]

    def evaluation(self, crystal: Crystal) -> Evaluation:
        away = (crystal.frac_coords - self.rest.frac_coords) @ self.rest.cell
        away = away - away.mean(axis=0)
        modulus = self.bulk_modulus_gpa / GPA_PER_EV_PER_CUBIC_ANGSTROM
        stretch = crystal.volume / self.rest.volume - 1
        energy = self.stiffness * (away**2).sum() / 2 + modulus * self.rest.volume * stretch**2 / 2
        stress = self.bulk_modulus_gpa * stretch * np.eye(3)
        return Evaluation(len(crystal), float(energy), -self.stiffness * away, stress)


def followed(
    potential: Potential, task: DynamicsTask
) -> tuple[list[DynamicsFrame], DynamicsReport | CrystalMeshError]:
    """The frames of a run and what it ended with."""
    frames: list[DynamicsFrame] = []
    while True:
        (outcome,) = potential.evaluate([task.crystal], task.options.quantities)
        result = task.advance(outcome)
        frames += task.take_frames()
        if result is not None:
            return frames, result


def reported(potential: Potential, task: DynamicsTask) -> DynamicsReport:
    """The report of a run that has one."""
    _, result = followed(potential, task)
    assert isinstance(result, DynamicsReport)
    return result


def rattled(crystal: Crystal, crystal_id: str, *, seed: int, angstrom: float = 0.05) -> Crystal:
    """The crystal under another id, its atoms off their sites by about so much."""
    noise = np.random.default_rng(seed).normal(scale=angstrom, size=crystal.frac_coords.shape)
    return replace(
        crystal, id=crystal_id, frac_coords=crystal.frac_coords + noise @ np.linalg.inv(crystal.cell)
    )
