"""One crystal's run in time, from evaluation to evaluation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import (
    CrystalError,
    CrystalMeshError,
    IsolatedAtomError,
    ModelFailedError,
)
from crystalmesh_relaxation.dynamics.averages import LaterHalf, Slope
from crystalmesh_relaxation.dynamics.bonds import Bonds, ShortestDistance
from crystalmesh_relaxation.dynamics.integrators import (
    CellRescaling,
    Integrator,
    Langevin,
    VelocityVerlet,
)
from crystalmesh_relaxation.dynamics.moving import Moving, at_temperature
from crystalmesh_relaxation.engine import Evaluation, Quantity

_FALLEN_APART = (CrystalError, IsolatedAtomError, ModelFailedError)
"""What a potential says of atoms that went where it cannot follow. Other errors say nothing of the run."""
_VOLUME_RANGE = (0.3, 3.0)
_RUNAWAY_TIMES, _RUNAWAY_KELVIN = 20.0, 5_000.0
"""Beyond so many times the temperature asked for, and so much on top, a run has exploded. By chance not even
two atoms come to twenty times their mean, and a start off the minimum adds a few thousand."""


class Ensemble(Enum):
    """What is held constant."""

    NVE = "NVE"
    NVT_LANGEVIN = "NVT, Langevin"
    NPT = "NPT"


@dataclass(frozen=True)
class DynamicsOptions:
    """How to follow a crystal."""

    steps: int
    ensemble: Ensemble = Ensemble.NVT_LANGEVIN
    time_step_fs: float = 1.0
    temperature_kelvin: float = 300.0  # of the first velocities, and of the thermostat
    friction_per_fs: float = 0.01
    pressure_gpa: float = 0.0  # NPT alone heeds it
    frame_interval_steps: int = 100  # 0: no frames
    seed: int = 0

    @property
    def quantities(self) -> frozenset[Quantity]:
        """What a potential has to compute at each step."""
        forces = frozenset({Quantity.ENERGY, Quantity.FORCES})
        return forces | {Quantity.STRESS} if self.ensemble is Ensemble.NPT else forces


@dataclass(frozen=True, eq=False)
class DynamicsFrame:
    """One moment of a run."""

    step: int
    crystal: Crystal
    velocities_angstrom_per_fs: FloatArray  # (n, 3)
    potential_energy_ev: float
    kinetic_energy_ev: float
    temperature_kelvin: float


@dataclass(frozen=True, eq=False)
class DynamicsReport:
    """Whether a run can be believed."""

    steps: int
    instability: str  # what broke, empty where nothing did
    energy_drift_mev_per_atom_per_ps: float  # of the total energy, which NVE alone conserves
    mean_temperature_kelvin: float  # over the later half
    shortest_distance_angstrom: float
    bonds_kept_fraction: float
    final: Crystal

    @property
    def stable(self) -> bool:
        return not self.instability


class DynamicsTask:
    """A crystal that is being followed: evaluate `crystal`, give the outcome to `advance`, and again.

    Its random numbers depend on the seed and the crystal's id, so they are the same whatever runs beside it.
    """

    def __init__(self, crystal: Crystal, options: DynamicsOptions) -> None:
        self.crystal = crystal
        self.options = options
        self.steps = 0
        self._run: _Run | None = None
        self._frames: list[DynamicsFrame] = []

    def advance(self, outcome: Evaluation | CrystalMeshError) -> DynamicsReport | CrystalMeshError | None:
        """Take what came of `crystal`. The report once this is over; else None, and `crystal` has moved."""
        run = self._run
        if isinstance(outcome, Evaluation) and not outcome.is_finite:
            outcome = ModelFailedError("it gave a number that is not finite for this crystal")
        if isinstance(outcome, CrystalMeshError):
            # At the start that is an error; on the way the atoms may have gone where no model follows.
            if run is None or not isinstance(outcome, _FALLEN_APART):
                return outcome
            return run.report(self.steps, f"the potential failed: {outcome.message}")
        if run is None:
            run = self._run = _Run(self.crystal, self.options)
        else:
            run.arrive(outcome)
        instability = run.observe(self.steps, outcome)
        interval = self.options.frame_interval_steps
        if interval and self.steps % interval == 0:
            self._frames.append(run.frame(self.steps, outcome))
        over = self.steps >= self.options.steps
        if instability or over or (instability := run.depart(outcome)):
            return run.report(self.steps, instability)
        self.crystal = run.crystal
        self.steps += 1
        return None

    def take_frames(self) -> list[DynamicsFrame]:
        """The frames since the last time."""
        frames, self._frames = self._frames, []
        return frames


class _Run:
    """A crystal under way: how it moves, and what was seen of it."""

    def __init__(self, crystal: Crystal, options: DynamicsOptions) -> None:
        random = np.random.default_rng([options.seed, _number_of(crystal.id)])
        self._moving: Moving = at_temperature(crystal, options.temperature_kelvin, random)
        self._integrator = _integrator(options, random)
        self._options = options
        self._first_volume = crystal.volume
        self._bonds = Bonds.of(crystal)
        self._shortest = ShortestDistance(crystal)
        self._energy = Slope()  # in eV over ps
        self._temperature = LaterHalf()

    @property
    def crystal(self) -> Crystal:
        """Where it is."""
        return self._moving.crystal

    def depart(self, evaluation: Evaluation) -> str:
        """Go to the next moment. Why the crystal cannot and stays, or nothing.

        No potential is asked about atoms that one enormous force has thrown anywhere.
        """
        departed = self._integrator.begin(self._moving, evaluation)
        runaway = self._runaway(departed)
        if not runaway:
            self._moving = departed
        return runaway

    def arrive(self, evaluation: Evaluation) -> None:
        """Complete that step."""
        self._moving = self._integrator.finish(self._moving, evaluation)

    def observe(self, step: int, evaluation: Evaluation) -> str:
        """Take this moment into account. What broke, or nothing."""
        moving, options = self._moving, self._options
        self._temperature.observe(moving.temperature_kelvin)
        self._energy.observe(
            step * options.time_step_fs / 1000, evaluation.energy_ev + moving.kinetic_energy_ev
        )
        smallest, largest = _VOLUME_RANGE
        ratio = moving.crystal.volume / self._first_volume
        if not smallest < ratio < largest:
            return f"the cell {'collapsed' if ratio < 1 else 'blew up'}: it has {ratio:.2f} times its volume"
        return self._runaway(moving) or self._shortest.observe(moving.crystal)

    def frame(self, step: int, evaluation: Evaluation) -> DynamicsFrame:
        moving = self._moving
        return DynamicsFrame(
            step=step,
            crystal=moving.crystal,
            velocities_angstrom_per_fs=moving.velocities,
            potential_energy_ev=evaluation.energy_ev,
            kinetic_energy_ev=moving.kinetic_energy_ev,
            temperature_kelvin=moving.temperature_kelvin,
        )

    def _runaway(self, moving: Moving) -> str:
        temperature = moving.temperature_kelvin
        if temperature <= _RUNAWAY_TIMES * self._options.temperature_kelvin + _RUNAWAY_KELVIN:
            return ""
        return f"the temperature ran away: it is {temperature:,.0f} K"

    def report(self, steps: int, instability: str) -> DynamicsReport:
        crystal = self._moving.crystal
        return DynamicsReport(
            steps=steps,
            instability=instability,
            energy_drift_mev_per_atom_per_ps=1000 * self._energy.value / len(crystal),
            mean_temperature_kelvin=self._temperature.mean,
            shortest_distance_angstrom=self._shortest.angstrom,
            bonds_kept_fraction=self._bonds.kept_fraction(crystal),
            final=crystal,
        )


def _integrator(options: DynamicsOptions, random: np.random.Generator) -> Integrator:
    if options.ensemble is Ensemble.NVE:
        return VelocityVerlet(options.time_step_fs)
    thermostat = Langevin(options.time_step_fs, options.temperature_kelvin, options.friction_per_fs, random)
    if options.ensemble is Ensemble.NPT:
        return CellRescaling(thermostat, options.pressure_gpa)
    return thermostat


def _number_of(crystal_id: str) -> int:
    return int.from_bytes(hashlib.sha256(crystal_id.encode()).digest()[:8], "big")
