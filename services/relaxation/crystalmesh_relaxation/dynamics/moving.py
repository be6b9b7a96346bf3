"""Atoms in motion: positions, velocities, and what follows from them.

Lengths in Å, times in fs, masses in atomic mass units, energies in eV. No atom is wrapped back into the cell,
so a site's coordinates say how far it has come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase.data import atomic_masses
from scipy import constants

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray

BOLTZMANN_EV_PER_KELVIN: float = constants.k / constants.e
EV_PER_MASS_AND_SPEED_SQUARED: float = constants.atomic_mass * 1e10 / constants.e
"""An atomic mass unit times (Å/fs)², in eV."""


@dataclass(frozen=True, eq=False)
class Moving:
    """A crystal of n atoms at one moment, with its velocities."""

    crystal: Crystal
    velocities: FloatArray  # (n, 3), Cartesian, in Å/fs
    masses: FloatArray  # (n, 1)

    @property
    def kinetic_energy_ev(self) -> float:
        return float((self.masses * self.velocities**2).sum()) * EV_PER_MASS_AND_SPEED_SQUARED / 2

    @property
    def temperature_kelvin(self) -> float:
        """The temperature of the motion within the crystal; 0 for a single atom, which has none."""
        freedoms = degrees_of_freedom(self.crystal)
        return 2 * self.kinetic_energy_ev / (freedoms * BOLTZMANN_EV_PER_KELVIN) if freedoms else 0.0


def degrees_of_freedom(crystal: Crystal) -> int:
    """How many velocities are free: all but the three of the crystal as a whole, which stays in place."""
    return 3 * len(crystal) - 3


def at_temperature(crystal: Crystal, temperature_kelvin: float, random: np.random.Generator) -> Moving:
    """The crystal with Maxwell-Boltzmann velocities, without total momentum, of exactly this temperature."""
    masses = masses_of(crystal.numbers)
    moving = Moving(crystal, thermal_velocities(masses, temperature_kelvin, random), masses)
    found = moving.temperature_kelvin
    scale = np.sqrt(temperature_kelvin / found) if found > 0 else 0.0
    return replace(moving, velocities=moving.velocities * scale)


def masses_of(numbers: IntArray) -> FloatArray:
    """The standard atomic masses, (n, 1)."""
    masses: FloatArray = atomic_masses[numbers][:, None]
    return masses


def thermal_velocities(
    masses: FloatArray, temperature_kelvin: float, random: np.random.Generator
) -> FloatArray:
    """Velocities (n, 3) from the Maxwell-Boltzmann distribution among those without total momentum."""
    spread = np.sqrt(BOLTZMANN_EV_PER_KELVIN * temperature_kelvin / (masses * EV_PER_MASS_AND_SPEED_SQUARED))
    velocities = spread * random.standard_normal((len(masses), 3))
    # Taking out the drift of the whole leaves exactly the distribution under that condition.
    remaining: FloatArray = velocities - (masses * velocities).sum(axis=0) / masses.sum()
    return remaining


def kicked(moving: Moving, forces: FloatArray, time_fs: float) -> Moving:
    """The velocities after these forces, in eV/Å, for so long.

    What the forces add up to is left out: it is the model's rounding, and would push the crystal along.
    """
    net = forces.sum(axis=0) * (moving.masses / moving.masses.sum())
    accelerations = (forces - net) / (moving.masses * EV_PER_MASS_AND_SPEED_SQUARED)
    return replace(moving, velocities=moving.velocities + accelerations * time_fs)


def drifted(moving: Moving, time_fs: float) -> Moving:
    """The positions after moving freely for so long."""
    crystal = moving.crystal
    steps = moving.velocities * time_fs @ np.linalg.inv(crystal.cell)
    return replace(moving, crystal=replace(crystal, frac_coords=crystal.frac_coords + steps))


def swollen(moving: Moving, volume_ratio: float) -> Moving:
    """Cell and positions scaled to so many times the volume, velocities the other way."""
    stretch = float(np.cbrt(volume_ratio))
    crystal = replace(moving.crystal, cell=moving.crystal.cell * stretch)
    return replace(moving, crystal=crystal, velocities=moving.velocities / stretch)
