"""Dynamics on CHGNet itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ase import units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet

from crystalmesh_common.crystal.ase_codec import from_atoms, to_atoms
from crystalmesh_relaxation.dynamics.task import DynamicsOptions, DynamicsTask, Ensemble
from crystalmesh_relaxation.engine import Evaluation, Potential, Quantity
from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential
from tests.conftest import silicon, sodium_chloride
from tests.relaxation.dynamics.springs import followed, reported


@pytest.fixture(scope="module")
def potential() -> Iterator[Potential]:
    """CHGNet on one thread: more of them wait for each other on crystals this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield FastCHGNetPotential()
    torch.set_num_threads(threads)


class Calculated(Calculator):
    """A potential as an ASE calculator."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 -- as ASE has it

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self._potential = potential

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        (found,) = self._potential.evaluate([from_atoms(self.atoms)], frozenset({Quantity.FORCES}))
        assert isinstance(found, Evaluation)
        self.results = {"energy": found.energy_ev, "forces": found.forces_ev_per_angstrom}


def test_verlet_goes_where_ases_goes(potential: Potential) -> None:
    """From the same velocities, positions and velocities agree with ASE's at every one of 20 steps."""
    options = DynamicsOptions(steps=20, ensemble=Ensemble.NVE, temperature_kelvin=600, frame_interval_steps=1)
    frames, _ = followed(potential, DynamicsTask(silicon(shift=0.02), options))
    atoms = to_atoms(silicon(shift=0.02))
    atoms.calc = Calculated(potential)
    atoms.set_velocities(frames[0].velocities_angstrom_per_fs / units.fs)
    theirs = VelocityVerlet(atoms, timestep=units.fs)
    for frame in frames:
        np.testing.assert_allclose(frame.crystal.cart_coords, atoms.positions, atol=1e-5)
        np.testing.assert_allclose(
            frame.velocities_angstrom_per_fs, atoms.get_velocities() * units.fs, atol=1e-6
        )
        assert frame.temperature_kelvin == pytest.approx(2 * atoms.get_temperature(), rel=1e-4)
        theirs.run(1)


def test_chgnet_conserves_energy(potential: Potential) -> None:
    """NVE of rock salt at 300 K drifts by less than 1 meV per atom and ps."""
    options = DynamicsOptions(steps=100, ensemble=Ensemble.NVE, frame_interval_steps=0)
    report = reported(potential, DynamicsTask(sodium_chloride(), options))
    assert report.stable
    assert abs(report.energy_drift_mev_per_atom_per_ps) < 1
    assert report.bonds_kept_fraction == 1


def test_pressure_squeezes_chgnets_salt(potential: Potential) -> None:
    """Under 50 GPa at 10 K rock salt shrinks at once, and holds together."""
    options = DynamicsOptions(
        steps=60, ensemble=Ensemble.NPT, temperature_kelvin=10, pressure_gpa=50, time_step_fs=2
    )
    report = reported(potential, DynamicsTask(sodium_chloride(), options))
    assert report.stable, report.instability
    assert report.final.volume < 0.95 * sodium_chloride().volume
