from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import FIRE

from crystalmesh_relaxation.relaxing.optimizers import (
    MAX_STEP_ANGSTROM,
    Bfgs,
    Fire,
    Lbfgs,
    Optimizer,
)

# A valley that is steep one way and flat another, with its minimum at the origin.
CURVATURES = np.array([[1.0, 30.0, 4.0], [0.5, 8.0, 2.0]])
START = np.array([[0.9, -0.4, 0.3], [-0.7, 0.2, 0.6]])


def forces_at(positions: np.ndarray) -> np.ndarray:
    return -CURVATURES * positions


class Valley(Calculator):
    """The valley as an ASE calculator."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 -- as ASE has it

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        positions = self.atoms.positions
        self.results = {
            "energy": float((CURVATURES * positions**2).sum() / 2),
            "forces": forces_at(positions),
        }


def test_fire_goes_step_for_step_as_ase_does() -> None:
    """Our FIRE visits the positions that ASE's visits."""
    atoms = Atoms("H2", positions=START, calculator=Valley())
    theirs = FIRE(atoms, logfile=None)
    ours, positions = Fire(), START.copy()
    for _ in range(60):
        theirs.step()
        positions = positions + ours.displacement(forces_at(positions))
        np.testing.assert_allclose(positions, atoms.positions, atol=1e-10)


@pytest.mark.parametrize(("optimizer", "steps"), [(Fire(), 200), (Lbfgs(), 40), (Bfgs(), 40)])
def test_each_finds_the_minimum(optimizer: Optimizer, steps: int) -> None:
    """Within its number of steps each optimizer is where no force is left."""
    positions = START.copy()
    for _ in range(steps):
        positions = positions + optimizer.displacement(forces_at(positions))
    assert np.abs(forces_at(positions)).max() < 0.01


@pytest.mark.parametrize("optimizer", [Fire(), Lbfgs(), Bfgs()])
def test_no_step_is_longer_than_the_longest(optimizer: Optimizer) -> None:
    """However large the force, a row moves at most 0.2 Å."""
    for scale in (1e6, 1e3, 1e8):
        step = optimizer.displacement(scale * START)
        assert np.linalg.norm(step, axis=1).max() <= MAX_STEP_ANGSTROM + 1e-12


@pytest.mark.parametrize("optimizer", [Fire(), Lbfgs(), Bfgs()])
def test_without_forces_nothing_moves_and_nothing_breaks(optimizer: Optimizer) -> None:
    """Forces of zero, again and again, give steps of zero and no NaN."""
    for _ in range(3):
        assert not optimizer.displacement(np.zeros((2, 3))).any()
