"""Taking a moving crystal one step further in time.

A step has two halves, with the evaluation of the new positions between them: `begin` moves the atoms by what
is known, `finish` completes the velocities with the forces found there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_relaxation.dynamics.moving import (
    BOLTZMANN_EV_PER_KELVIN,
    Moving,
    drifted,
    kicked,
    swollen,
    thermal_velocities,
)
from crystalmesh_relaxation.engine import Evaluation
from crystalmesh_relaxation.relaxing.motion import GPA_IN_EV_PER_CUBIC_ANGSTROM

COMPRESSIBILITY_PER_GPA = 0.01
PRESSURE_TIME_FS = 500.0
"""A crystal of that compressibility forgets its volume in this time. Others take longer or shorter; the
volumes that they visit are the same."""
_VOLUME_CHANGE_PER_STEP = 0.1


class Integrator(Protocol):
    """Rules of motion."""

    def begin(self, moving: Moving, evaluation: Evaluation) -> Moving:
        """The positions of the next moment, from this one and what a potential said of it."""
        ...

    def finish(self, moving: Moving, evaluation: Evaluation) -> Moving:
        """That moment with its velocities, once its positions are evaluated."""
        ...


@dataclass(frozen=True)
class VelocityVerlet:
    """Newton's equations: constant volume and energy. Error of second order in the step, no drift."""

    time_step_fs: float

    def begin(self, moving: Moving, evaluation: Evaluation) -> Moving:
        half = kicked(moving, forces_of(evaluation), self.time_step_fs / 2)
        return drifted(half, self.time_step_fs)

    def finish(self, moving: Moving, evaluation: Evaluation) -> Moving:
        return kicked(moving, forces_of(evaluation), self.time_step_fs / 2)


@dataclass(frozen=True)
class Langevin:
    """Constant volume and temperature: friction, and noise that makes up for it.

    The splitting "BAOAB" of Leimkuhler and Matthews (Appl. Math. Res. Express 2013, 34): harmonic motion has
    the positions of the canonical ensemble at any stable step, other motion nearly so. Velocities of the
    fastest modes come out a little cold, as in Verlet. The crystal as a whole gets no noise and stays put.
    """

    time_step_fs: float
    temperature_kelvin: float
    friction_per_fs: float
    random: np.random.Generator

    def begin(self, moving: Moving, evaluation: Evaluation) -> Moving:
        half = kicked(moving, forces_of(evaluation), self.time_step_fs / 2)
        halfway = drifted(half, self.time_step_fs / 2)
        return drifted(self._thermalized(halfway), self.time_step_fs / 2)

    def finish(self, moving: Moving, evaluation: Evaluation) -> Moving:
        return kicked(moving, forces_of(evaluation), self.time_step_fs / 2)

    def _thermalized(self, moving: Moving) -> Moving:
        kept = float(np.exp(-self.friction_per_fs * self.time_step_fs))
        fresh = thermal_velocities(moving.masses, self.temperature_kelvin, self.random)
        velocities = kept * moving.velocities + np.sqrt(1 - kept**2) * fresh
        return Moving(moving.crystal, velocities, moving.masses)


@dataclass(frozen=True)
class CellRescaling:
    """Constant pressure and temperature: Langevin motion in a cell that breathes and keeps its shape.

    Stochastic cell rescaling (Bernetti and Bussi, J. Chem. Phys. 153, 114107, 2020), isotropic: the volume
    follows the difference of the pressures to first order, with noise of just the strength that makes it
    visit the volumes of the isothermal-isobaric ensemble. Needs the stress.
    """

    thermostat: Langevin
    pressure_gpa: float

    def begin(self, moving: Moving, evaluation: Evaluation) -> Moving:
        ratio = self._volume_ratio(moving, evaluation)
        return swollen(self.thermostat.begin(moving, evaluation), ratio)

    def finish(self, moving: Moving, evaluation: Evaluation) -> Moving:
        return self.thermostat.finish(moving, evaluation)

    def _volume_ratio(self, moving: Moving, evaluation: Evaluation) -> float:
        """What the volume is multiplied by in a step. Its root takes an Euler step, as its noise is even."""
        volume = moving.crystal.volume
        thermal_ev = BOLTZMANN_EV_PER_KELVIN * self.thermostat.temperature_kelvin
        # Per fs and eV/Å³.
        rate = COMPRESSIBILITY_PER_GPA / GPA_IN_EV_PER_CUBIC_ANGSTROM / PRESSURE_TIME_FS
        excess = pressure_ev_per_cubic_angstrom(moving, evaluation)
        excess -= self.pressure_gpa * GPA_IN_EV_PER_CUBIC_ANGSTROM
        # One thermal energy for the motion of the crystal as a whole, which is not in the kinetic energy,
        # and a half for the root in place of the volume.
        excess += 1.5 * thermal_ev / volume
        step_fs = self.thermostat.time_step_fs
        noise = self.thermostat.random.standard_normal()
        change = rate * excess * step_fs / 2 + noise * np.sqrt(rate * thermal_ev * step_fs / (2 * volume))
        # Only a cell that is coming apart meets these bounds; it is to do so in finite numbers.
        largest = 1 + _VOLUME_CHANGE_PER_STEP / 2
        return float(np.clip(1 + change, 1 / largest, largest)) ** 2


def forces_of(evaluation: Evaluation) -> FloatArray:
    """The forces (n, 3). Raises ValueError where they were not asked for."""
    if evaluation.forces_ev_per_angstrom is None:
        raise ValueError("dynamics needs forces")
    return evaluation.forces_ev_per_angstrom


def pressure_ev_per_cubic_angstrom(moving: Moving, evaluation: Evaluation) -> float:
    """The pressure that the crystal exerts: of its motion, and of the forces between its atoms."""
    if evaluation.stress_gpa is None:
        raise ValueError("dynamics at constant pressure needs the stress")
    virial = -float(np.trace(evaluation.stress_gpa)) / 3 * GPA_IN_EV_PER_CUBIC_ANGSTROM
    return 2 * moving.kinetic_energy_ev / (3 * moving.crystal.volume) + virial
