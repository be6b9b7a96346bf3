from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.dynamics.integrators import CellRescaling, Integrator, Langevin, VelocityVerlet
from crystalmesh_relaxation.dynamics.moving import (
    BOLTZMANN_EV_PER_KELVIN,
    EV_PER_MASS_AND_SPEED_SQUARED,
    Moving,
    at_temperature,
    degrees_of_freedom,
)
from crystalmesh_relaxation.engine import Evaluation
from tests.conftest import block, silicon, sodium_chloride
from tests.relaxation.dynamics.springs import GPA_PER_EV_PER_CUBIC_ANGSTROM, Springs


def moments(
    integrator: Integrator, potential: Springs, start: Moving, steps: int
) -> Iterator[tuple[Moving, Evaluation]]:
    """Every moment after the start."""
    moving, evaluation = start, potential.evaluation(start.crystal)
    for _ in range(steps):
        moving = integrator.begin(moving, evaluation)
        evaluation = potential.evaluation(moving.crystal)
        moving = integrator.finish(moving, evaluation)
        yield moving, evaluation


def momentum(moving: Moving) -> float:
    """The largest component of the total momentum, against that of all atoms taken one by one."""
    momenta = moving.masses * moving.velocities
    return float(np.abs(momenta.sum(axis=0)).max() / np.abs(momenta).sum())


def langevin(random: np.random.Generator, *, temperature: float = 300, time_step: float = 1.0) -> Langevin:
    return Langevin(time_step, temperature, friction_per_fs=0.02, random=random)


def test_the_start_has_the_temperature_and_stays_in_place() -> None:
    """Velocities of exactly the temperature asked for, without total momentum; none at 0 K."""
    moving = at_temperature(block(repeat=2), 300, np.random.default_rng(1))
    assert moving.temperature_kelvin == pytest.approx(300)
    assert momentum(moving) < 1e-12
    cold = at_temperature(block(repeat=2), 0, np.random.default_rng(1))
    assert not cold.velocities.any()


def test_a_single_atom_has_no_motion_of_its_own() -> None:
    """A cell of one atom is at rest at any temperature, and reads 0 K."""
    copper = Crystal(1.8 * (1 - np.eye(3)), np.array([29]), np.zeros((1, 3)))
    moving = at_temperature(copper, 300, np.random.default_rng(1))
    assert not moving.velocities.any()
    assert moving.temperature_kelvin == 0


def test_verlet_swings_as_the_springs_say() -> None:
    """Two atoms on springs follow the cosine of their frequency, and the energy stays."""
    rest = silicon()
    pulled = replace(rest, frac_coords=rest.frac_coords + np.array([[0, 0, 0], [0.01, 0, 0]]))
    springs = Springs(rest)
    start = at_temperature(pulled, 0, np.random.default_rng(0))
    frequency = np.sqrt(springs.stiffness / (start.masses[0, 0] * EV_PER_MASS_AND_SPEED_SQUARED))
    first = springs.evaluation(pulled)
    for step, (moving, evaluation) in enumerate(moments(VelocityVerlet(0.5), springs, start, 400), start=1):
        gap = moving.crystal.frac_coords[1, 0] - moving.crystal.frac_coords[0, 0] - 0.25
        assert gap == pytest.approx(0.01 * np.cos(frequency * 0.5 * step), abs=1e-4)
        assert evaluation.energy_ev + moving.kinetic_energy_ev == pytest.approx(first.energy_ev, rel=1e-3)


@pytest.mark.parametrize("kind", ["verlet", "langevin", "rescaling"])
def test_momentum_stays_zero(kind: str) -> None:
    """No integrator sets the crystal as a whole in motion, even where the forces do not add up to zero."""
    random = np.random.default_rng(2)
    integrators: dict[str, Integrator] = {
        "verlet": VelocityVerlet(1.0),
        "langevin": langevin(random),
        "rescaling": CellRescaling(langevin(random), pressure_gpa=1),
    }

    class Biased(Springs):
        def evaluation(self, crystal: Crystal) -> Evaluation:
            found = super().evaluation(crystal)
            assert found.forces_ev_per_angstrom is not None
            return replace(found, forces_ev_per_angstrom=found.forces_ev_per_angstrom + 0.3)

    start = at_temperature(sodium_chloride(), 300, random)
    for moving, _ in moments(integrators[kind], Biased(sodium_chloride(), bulk_modulus_gpa=25), start, 200):
        assert momentum(moving) < 1e-9


@pytest.mark.parametrize("time_step", [1.0, 8.0])
def test_langevin_reaches_the_canonical_ensemble(time_step: float) -> None:
    """On springs the mean potential energy is half a thermal energy a freedom, at short and at long steps."""
    rest = block(repeat=2)
    random = np.random.default_rng(3)
    thermostat = langevin(random, temperature=500, time_step=time_step)
    start = at_temperature(rest, 500, random)
    potentials, temperatures = [], []
    for moving, evaluation in moments(thermostat, Springs(rest), start, 8_000):
        potentials.append(evaluation.energy_ev)
        temperatures.append(moving.temperature_kelvin)
    expected = degrees_of_freedom(rest) * BOLTZMANN_EV_PER_KELVIN * 500 / 2
    assert np.mean(potentials[1000:]) == pytest.approx(expected, rel=0.08)
    assert np.mean(temperatures[1000:]) == pytest.approx(500, rel=0.08)


def test_rescaling_reaches_the_isobaric_ensemble() -> None:
    """Two free atoms in an elastic cell: mean and spread of the volume are those of the exact distribution.

    The volume fluctuates by a fifth, so that a missing thermal energy would show.
    """
    rest = sodium_chloride()
    springs = Springs(rest, stiffness=0.0, bulk_modulus_gpa=100)
    temperature, pressure_gpa = 10_000.0, 20.0
    random = np.random.default_rng(4)
    integrator = CellRescaling(langevin(random, temperature=temperature, time_step=5), pressure_gpa)
    start = at_temperature(rest, temperature, random)
    volumes = [moving.crystal.volume for moving, _ in moments(integrator, springs, start, 40_000)]

    volume = np.linspace(1, 3 * rest.volume, 20_000)
    modulus, pressure = 100 / GPA_PER_EV_PER_CUBIC_ANGSTROM, pressure_gpa / GPA_PER_EV_PER_CUBIC_ANGSTROM
    energy = modulus * rest.volume * (volume / rest.volume - 1) ** 2 / 2 + pressure * volume
    # Each atom may be anywhere: a factor of the volume for each.
    exponent = len(rest) * np.log(volume) - energy / (BOLTZMANN_EV_PER_KELVIN * temperature)
    weights = np.exp(exponent - exponent.max())
    mean = np.average(volume, weights=weights)
    spread = np.sqrt(np.average((volume - mean) ** 2, weights=weights))
    assert np.mean(volumes[1000:]) == pytest.approx(mean, rel=0.03)
    assert np.std(volumes[1000:]) == pytest.approx(spread, rel=0.1)


def test_a_cell_keeps_its_shape_when_it_breathes() -> None:
    """Rescaling changes all lengths alike, and leaves the fractions of the sites to the motion."""
    random = np.random.default_rng(5)
    rest = sodium_chloride()
    integrator = CellRescaling(langevin(random, temperature=0), pressure_gpa=10)
    start = at_temperature(rest, 0, random)
    *_, (last, _) = moments(integrator, Springs(rest, bulk_modulus_gpa=100), start, 4_000)
    ratio = last.crystal.cell @ np.linalg.inv(rest.cell)
    np.testing.assert_allclose(ratio, np.eye(3) * ratio[0, 0], atol=1e-12)
    # The elastic cell gives way by pressure over modulus.
    assert last.crystal.volume / rest.volume == pytest.approx(1 - 10 / 100, abs=1e-3)
    np.testing.assert_allclose(last.crystal.frac_coords, rest.frac_coords, atol=1e-12)
