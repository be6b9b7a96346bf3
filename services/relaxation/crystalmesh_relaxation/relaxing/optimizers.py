"""Optimizers as state machines: forces in, the next displacement out. One object per crystal.

Coordinates are rows of three: the atoms in Å, and where the cell may move, three rows for its strain (see
`motion`). The constants are those of ASE, so that runs compare step for step.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import numpy as np

from crystalmesh_common.crystal.structure import FloatArray

MAX_STEP_ANGSTROM = 0.2
Lengths = FloatArray | float


class Optimizer(Protocol):
    """Decides where to go from the forces of where we are."""

    def displacement(self, forces: FloatArray, longest: Lengths = MAX_STEP_ANGSTROM) -> FloatArray:
        """The next step, (m, 3), for the forces (m, 3) at the coordinates that the last step led to.

        No row of it is longer than `longest`, (m,) or one for all, so what is returned can be taken whole.
        """
        ...

    def strain_scale(self, n_atoms: int) -> float:
        """How many Å of a row are a strain of one, in a cell of so many atoms."""
        ...


class Fire:
    """The fast inertial relaxation engine (Bitzek et al., Phys. Rev. Lett. 97, 170201, 2006)."""

    def __init__(self) -> None:
        self._velocity: FloatArray | None = None
        self._time_step = 0.1
        self._mixing = 0.1
        self._downhill_steps = 0

    def displacement(self, forces: FloatArray, longest: Lengths = MAX_STEP_ANGSTROM) -> FloatArray:
        velocity = self._steered(forces) + self._time_step * forces
        self._velocity = velocity
        step = self._time_step * velocity
        length = float(np.linalg.norm(step))
        # As a whole, as ASE does it; one that is too long for the cell is cut where it is taken.
        return step * (MAX_STEP_ANGSTROM / length) if length > MAX_STEP_ANGSTROM else step

    def strain_scale(self, n_atoms: int) -> float:
        """ASE's, so that both walk alike: with another, soft cells come to rest elsewhere."""
        return float(n_atoms)

    def _steered(self, forces: FloatArray) -> FloatArray:
        """The velocity, turned towards the forces while that goes downhill, and stopped when it does not."""
        if self._velocity is None:
            return np.zeros_like(forces)
        if np.vdot(forces, self._velocity) <= 0:
            self._mixing, self._downhill_steps = 0.1, 0
            self._time_step *= 0.5
            return np.zeros_like(forces)
        speed = np.linalg.norm(self._velocity) / np.linalg.norm(forces)
        velocity = (1 - self._mixing) * self._velocity + self._mixing * speed * forces
        if self._downhill_steps > 5:
            self._time_step = min(self._time_step * 1.1, 1.0)
            self._mixing *= 0.99
        self._downhill_steps += 1
        return velocity


class Lbfgs:
    """Limited-memory BFGS without line search (Nocedal's two-loop recursion)."""

    def __init__(self, memory: int = 100, curvature: float = 70.0) -> None:
        self._steps: deque[FloatArray] = deque(maxlen=memory)
        self._changes: deque[FloatArray] = deque(maxlen=memory)  # of the forces, with the sign of gradients
        self._inverse_curvature = 1 / curvature
        self._last: tuple[FloatArray, FloatArray] | None = None  # displacement and forces

    def displacement(self, forces: FloatArray, longest: Lengths = MAX_STEP_ANGSTROM) -> FloatArray:
        if self._last is not None:
            step, before = self._last
            change = before - forces
            # A pair that curves downwards would turn the estimate uphill.
            if np.vdot(step, change) > 1e-10:
                self._steps.append(step)
                self._changes.append(change)
        step = _shortened(self._two_loops(forces), longest)
        self._last = (step, forces)
        return step

    def strain_scale(self, n_atoms: int) -> float:
        return _stiff_as_atoms(n_atoms)

    def _two_loops(self, forces: FloatArray) -> FloatArray:
        pairs = list(zip(self._steps, self._changes, strict=True))
        weights: list[float] = []
        direction = -forces
        for step, change in reversed(pairs):
            weight = float(np.vdot(step, direction) / np.vdot(step, change))
            weights.append(weight)
            direction = direction - weight * change
        direction = direction * self._inverse_curvature
        for (step, change), weight in zip(pairs, reversed(weights), strict=True):
            back = float(np.vdot(change, direction) / np.vdot(step, change))
            direction = direction + (weight - back) * step
        return -direction


class Bfgs:
    """BFGS with the whole Hessian, whose negative curvatures are turned round."""

    def __init__(self, curvature: float = 70.0) -> None:
        self._curvature = curvature
        self._hessian: FloatArray | None = None
        self._last: tuple[FloatArray, FloatArray] | None = None

    def displacement(self, forces: FloatArray, longest: Lengths = MAX_STEP_ANGSTROM) -> FloatArray:
        if self._hessian is None:
            self._hessian = self._curvature * np.eye(forces.size)
        elif self._last is not None:
            self._update(self._hessian, *self._last, forces)
        curvatures, modes = np.linalg.eigh(self._hessian)
        step = modes @ ((forces.ravel() @ modes) / np.maximum(np.abs(curvatures), 1e-6))
        shortened = _shortened(step.reshape(-1, 3), longest)
        self._last = (shortened, forces)
        return shortened

    def strain_scale(self, n_atoms: int) -> float:
        return _stiff_as_atoms(n_atoms)

    @staticmethod
    def _update(hessian: FloatArray, step: FloatArray, before: FloatArray, forces: FloatArray) -> None:
        moved, change = step.ravel(), (before - forces).ravel()
        along = float(moved @ change)
        bent = hessian @ moved
        bending = float(moved @ bent)
        if abs(along) > 1e-10 and bending > 1e-10:
            hessian += np.outer(change, change) / along - np.outer(bent, bent) / bending


def _shortened(step: FloatArray, longest: Lengths) -> FloatArray:
    """The step, scaled as a whole so that no row is too long."""
    excess = float((np.linalg.norm(step, axis=1) / longest).max())
    return step / excess if excess > 1 else step


def _stiff_as_atoms(n_atoms: int) -> float:
    """The scale on which a cell is about as stiff as its atoms, which is what the first steps assume.

    The curvature along a strain is volume times elastic constant, so it grows with the number of atoms, and
    its scale with the root of that. ASE scales by the number itself: MP-20 crystals, as they are published,
    then take half as many steps again.
    """
    return math.sqrt(n_atoms)
