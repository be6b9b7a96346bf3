"""Potentials whose answers are known, CHGNet, and running a procedure on either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
from ase.neighborlist import primitive_neighbor_list

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Evaluation, Potential, Quantity
from crystalmesh_relaxation.procedure import Procedure, ProcedureTask
from crystalmesh_relaxation.relaxing.motion import GPA_IN_EV_PER_CUBIC_ANGSTROM

Result = TypeVar("Result")
Evaluate = Callable[[Crystal], Evaluation | CrystalMeshError]
FACE_CENTRED = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def outcome_of(procedure: Procedure[Result], evaluate: Evaluate) -> Result | CrystalMeshError:
    """What a procedure ends with."""
    task = ProcedureTask(procedure)
    while True:
        outcome = task.advance(evaluate(task.crystal))
        if outcome is not None:
            return outcome


def result_of(procedure: Procedure[Result], evaluate: Evaluate) -> Result:
    """What a procedure that succeeds ends with."""
    outcome = outcome_of(procedure, evaluate)
    assert not isinstance(outcome, CrystalMeshError), outcome
    return outcome


@dataclass(frozen=True)
class PairPotential:
    """Energy as a sum over pairs, with forces and stress to the last digit."""

    energy: Callable[[np.ndarray], np.ndarray]  # of distances
    slope: Callable[[np.ndarray], np.ndarray]
    cutoff: float

    def __call__(self, crystal: Crystal) -> Evaluation:
        first, _second, vectors, distances = primitive_neighbor_list(
            "ijDd", [True] * 3, crystal.cell, crystal.cart_coords, self.cutoff
        )
        pulls = (self.slope(distances) / distances)[:, None] * vectors
        forces = np.zeros((len(crystal), 3))
        np.add.at(forces, first, pulls)
        stress = vectors.T @ pulls / 2 / crystal.volume / GPA_IN_EV_PER_CUBIC_ANGSTROM
        energy = float(self.energy(distances).sum() / 2)
        return Evaluation(len(crystal), energy, forces_ev_per_angstrom=forces, stress_gpa=stress)


def morse() -> PairPotential:
    """About copper: its crystal is face-centred cubic."""
    depth, decay, distance = 0.35, 1.9, 2.75

    def energy(r: np.ndarray) -> np.ndarray:
        decayed = np.exp(-decay * (r - distance))
        return depth * (decayed**2 - 2 * decayed)

    def slope(r: np.ndarray) -> np.ndarray:
        decayed = np.exp(-decay * (r - distance))
        return -2 * depth * decay * (decayed**2 - decayed)

    return PairPotential(energy, slope, cutoff=10.0)


def springs(stiffness: float, length: float, *, cutoff: float) -> PairPotential:
    """A spring between any two atoms within the cutoff."""
    return PairPotential(
        lambda r: stiffness / 2 * (r - length) ** 2, lambda r: stiffness * (r - length), cutoff
    )


@cache
def _chgnet() -> Potential:
    import torch

    from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential

    torch.set_num_threads(1)  # threads that wait for each other are slow on a busy machine
    return FastCHGNetPotential()


def chgnet(crystal: Crystal) -> Evaluation | CrystalMeshError:
    """What the potential behind the service says."""
    (outcome,) = _chgnet().evaluate([crystal], frozenset({Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS}))
    return outcome


def copper() -> Crystal:
    """Face-centred cubic, one atom."""
    return Crystal(3.6 * FACE_CENTRED, np.array([29]), np.zeros((1, 3)), "Cu")


def lopsided() -> Crystal:
    """Four atoms without any symmetry in a cell of three different angles."""
    cell = np.array([[3.6, 0.0, 0.0], [0.9, 3.9, 0.0], [-0.5, 0.7, 4.2]])
    sites = np.array([[0.02, 0.0, 0.05], [0.45, 0.53, 0.1], [0.5, 0.04, 0.55], [0.06, 0.48, 0.46]])
    return Crystal(cell, np.array([29, 13, 29, 47]), sites, "lopsided")
