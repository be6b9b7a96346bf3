"""One crystal's relaxation, from evaluation to evaluation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Evaluation
from crystalmesh_relaxation.relaxing.motion import (
    CellMode,
    driving_rows,
    excess_stress_gpa,
    longest_rows,
    moved,
)
from crystalmesh_relaxation.relaxing.optimizers import Bfgs, Fire, Lbfgs, Optimizer
from crystalmesh_relaxation.relaxing.symmetry import SymmetryProjection

_VOLUME_RANGE = (0.3, 3.0)
"""A cell beyond this share of its first volume has no minimum nearby."""


class OptimizerKind(Enum):
    """The algorithm that walks downhill."""

    FIRE = "fire"
    LBFGS = "lbfgs"
    BFGS = "bfgs"


_OPTIMIZERS: Mapping[OptimizerKind, type[Fire | Lbfgs | Bfgs]] = {
    OptimizerKind.FIRE: Fire,
    OptimizerKind.LBFGS: Lbfgs,
    OptimizerKind.BFGS: Bfgs,
}


class StopReason(Enum):
    """Why a relaxation ended."""

    CONVERGED = "converged"
    STEP_LIMIT = "step limit"
    TIME_LIMIT = "time limit"
    UNPHYSICAL = "unphysical"
    ENERGY_LIMIT = "energy limit"


@dataclass(frozen=True)
class EnergyLimit:
    """What a crystal must be below after some steps."""

    energy_ev_per_atom: float
    after_steps: int = 5


@dataclass(frozen=True)
class RelaxOptions:
    """How to relax."""

    cell_mode: CellMode = CellMode.FULL
    optimizer: OptimizerKind = OptimizerKind.FIRE
    max_force_ev_per_angstrom: float = 0.05
    max_stress_gpa: float = 0.2
    max_steps: int = 500
    max_seconds: float | None = None
    pressure_gpa: float = 0.0
    symmetry_tolerance_angstrom: float | None = None  # None: symmetry is not preserved
    frame_interval_steps: int = 0  # 0: no frames
    energy_limit: EnergyLimit | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A crystal on its way."""

    step: int
    crystal: Crystal
    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Where a crystal ended."""

    crystal: Crystal
    stop_reason: StopReason
    steps: int
    initial: Evaluation
    final: Evaluation
    max_force_ev_per_angstrom: float
    max_stress_gpa: float  # 0 where the cell does not move
    seconds: float  # in flight

    @property
    def converged(self) -> bool:
        return self.stop_reason is StopReason.CONVERGED


@dataclass(frozen=True, eq=False)
class _Point:
    """A crystal, what a potential said of it, and what still drives it."""

    crystal: Crystal
    evaluation: Evaluation
    forces: FloatArray  # (n, 3), zero on fixed sites
    excess_gpa: FloatArray | None  # (3, 3)

    @property
    def energy(self) -> float:
        """Per atom."""
        return self.evaluation.energy_ev_per_atom

    @property
    def max_force(self) -> float:
        return float(np.linalg.norm(self.forces, axis=1).max())

    @property
    def max_stress(self) -> float:
        return 0.0 if self.excess_gpa is None else float(np.abs(self.excess_gpa).max())


@dataclass(eq=False)
class RelaxationTask:
    """A crystal that is being relaxed: evaluate `crystal`, give the outcome to `advance`, and again.

    `fixed_sites` keep their fractional coordinates.
    """

    crystal: Crystal
    options: RelaxOptions
    fixed_sites: Sequence[int] = ()
    steps: int = 0

    def __post_init__(self) -> None:
        self._optimizer: Optimizer = _OPTIMIZERS[self.options.optimizer]()
        self._first_volume = self.crystal.volume
        self._started: float | None = None
        self._initial: Evaluation | None = None
        self._last: _Point | None = None
        self._symmetry: SymmetryProjection | None = None
        self._frames: list[Frame] = []

    def advance(self, outcome: Evaluation | CrystalMeshError) -> Relaxation | CrystalMeshError | None:
        """Take what came of `crystal`. The result once this is over; else None, and `crystal` has moved."""
        if self._started is None:
            self._start()
        if isinstance(outcome, CrystalMeshError):
            # At the start that is an error; on the way the atoms went where no model follows.
            return outcome if self._last is None else self._result(self._last, StopReason.UNPHYSICAL)
        point = self._point(outcome)
        self._initial = self._initial or outcome
        self._last = point
        interval = self.options.frame_interval_steps
        if interval and self.steps % interval == 0:
            self._frames.append(Frame(self.steps, self.crystal, outcome))
        reason = self._stop_reason(point)
        if reason is not None:
            return self._result(point, reason)
        scale = self._optimizer.strain_scale(len(self.crystal))
        rows = driving_rows(self.crystal, point.forces, point.excess_gpa, scale)
        longest = longest_rows(len(rows), len(self.crystal), scale)
        self.crystal = moved(self.crystal, self._optimizer.displacement(rows, longest), scale)
        self.steps += 1
        return None

    def take_frames(self) -> list[Frame]:
        """The frames since the last time."""
        frames, self._frames = self._frames, []
        return frames

    def _start(self) -> None:
        self._started = time.monotonic()
        tolerance = self.options.symmetry_tolerance_angstrom
        if tolerance is not None:
            self._symmetry = SymmetryProjection.of(self.crystal, tolerance)

    def _point(self, evaluation: Evaluation) -> _Point:
        options = self.options
        forces, stress = evaluation.forces_ev_per_angstrom, evaluation.stress_gpa
        if forces is None or (stress is None and options.cell_mode is not CellMode.FIXED):
            raise ValueError("a relaxation needs forces, and stress where the cell moves")
        excess = None
        if stress is not None and options.cell_mode is not CellMode.FIXED:
            excess = excess_stress_gpa(stress, options.cell_mode, options.pressure_gpa)
        if self._symmetry is not None:
            forces = self._symmetry.forces(self.crystal, forces)
            excess = None if excess is None else self._symmetry.stress(self.crystal, excess)
        if self.fixed_sites:
            forces = forces.copy()
            forces[list(self.fixed_sites)] = 0.0
        return _Point(self.crystal, evaluation, forces, excess)

    def _stop_reason(self, point: _Point) -> StopReason | None:
        options = self.options
        if (
            point.max_force <= options.max_force_ev_per_angstrom
            and point.max_stress <= options.max_stress_gpa
        ):
            return StopReason.CONVERGED
        smallest, largest = _VOLUME_RANGE
        if not smallest < point.crystal.volume / self._first_volume < largest:
            return StopReason.UNPHYSICAL
        limit = options.energy_limit
        if limit is not None and self.steps == limit.after_steps and point.energy > limit.energy_ev_per_atom:
            return StopReason.ENERGY_LIMIT
        if self.steps >= options.max_steps:
            return StopReason.STEP_LIMIT
        if options.max_seconds is not None and self._seconds() >= options.max_seconds:
            return StopReason.TIME_LIMIT
        return None

    def _seconds(self) -> float:
        return 0.0 if self._started is None else time.monotonic() - self._started

    def _result(self, point: _Point, reason: StopReason) -> Relaxation:
        return Relaxation(
            crystal=point.crystal,
            stop_reason=reason,
            steps=self.steps,
            initial=self._initial or point.evaluation,
            final=point.evaluation,
            max_force_ev_per_angstrom=point.max_force,
            max_stress_gpa=point.max_stress,
            seconds=self._seconds(),
        )
