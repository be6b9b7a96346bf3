from __future__ import annotations

import copy

import numpy as np
import pytest
from ase import Atoms, units
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.mep import NEB
from ase.optimize import BFGS, FIRE
from pymatgen.core import Lattice, Structure

from crystalmesh_client import Mesh
from crystalmesh_client.calculator import MeshCalculator
from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.runtime.errors import InvalidCrystalError, IsolatedAtomError, ModelNotFoundError
from tests.conftest import iron, lone_atom, silicon


@pytest.fixture
def atoms(mesh: Mesh) -> Atoms:
    """Silicon off its minimum, on the mesh."""
    disturbed = to_atoms(silicon(shift=0.03))
    disturbed.calc = MeshCalculator(mesh)
    return disturbed


def test_what_ase_asks_for_is_what_the_mesh_says(mesh: Mesh, atoms: Atoms) -> None:
    """Energy, forces, stress in Voigt order and eV/Å³, and moments are those of `evaluate`."""
    said = mesh.relaxation.evaluate(silicon(shift=0.03))
    assert said.stress_gpa is not None
    assert atoms.get_potential_energy() == pytest.approx(said.energy_ev, abs=1e-5)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), said.forces_ev_per_angstrom, atol=1e-4)
    np.testing.assert_allclose(atoms.get_stress(voigt=False) * 160.21766208, said.stress_gpa, atol=1e-3)
    magnet = to_atoms(iron())
    magnet.calc = MeshCalculator(mesh)
    assert magnet.get_magnetic_moments() == pytest.approx([2.2, 2.2], abs=0.4)


def test_one_arrangement_is_one_call(atoms: Atoms, relaxation: object) -> None:
    """Energy, forces and stress of the same atoms are asked for once; atoms that moved are asked about."""
    calls = []
    ask = atoms.calc.calculate
    atoms.calc.calculate = lambda *arguments: (calls.append(1), ask(*arguments))
    atoms.get_potential_energy()
    atoms.get_forces()
    atoms.get_stress()
    assert len(calls) == 1
    atoms.rattle(0.01, seed=1)
    atoms.get_forces()
    assert len(calls) == 2


def test_ases_optimizers_move_atoms_and_cell(atoms: Atoms) -> None:
    """FIRE over a FrechetCellFilter ends where neither forces nor stress are left."""
    assert FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=0.05, steps=200)
    assert np.abs(atoms.get_forces()).max() < 0.05
    # The filter counts the strain once per atom.
    assert np.abs(atoms.get_stress()).max() * atoms.get_volume() < 0.06 * len(atoms)


def test_ases_dynamics_conserve_energy(atoms: Atoms) -> None:
    """Forces are the slope of the energy: velocity Verlet keeps their sum within a meV per atom."""
    run = VelocityVerlet(atoms, timestep=0.5 * units.fs)
    before = atoms.get_total_energy()
    run.run(10)
    assert atoms.get_kinetic_energy() > 1e-4
    assert atoms.get_total_energy() == pytest.approx(before, abs=2e-3)


def test_ases_nudged_elastic_band_runs(mesh: Mesh) -> None:
    """Images with a calculator each, all on one mesh, relax onto a path."""
    images = [to_atoms(silicon(shift=shift)) for shift in (-0.03, 0.01, 0.03)]
    for image in images:
        image.calc = MeshCalculator(mesh)
    band = NEB(images, method="improvedtangent")
    BFGS(band, logfile=None).run(fmax=0.05, steps=3)
    ends = [image.get_potential_energy() for image in (images[0], images[-1])]
    assert images[1].get_potential_energy() < min(ends)


def test_pymatgen_relaxes_on_the_mesh(mesh: Mesh) -> None:
    """`Structure.relax` and `Structure.calculate` take the calculator."""
    crystal = silicon(shift=0.02)
    structure = Structure(Lattice(crystal.cell), ["Si", "Si"], crystal.frac_coords)
    calculated = structure.calculate(calculator=MeshCalculator(mesh))
    assert calculated.results["forces"].shape == (2, 3)
    relaxed = structure.relax(calculator=MeshCalculator(mesh), fmax=0.05)
    assert relaxed.calc.results["energy"] < calculated.results["energy"]
    assert relaxed.get_distance(0, 1) == pytest.approx(2.36, abs=0.02)


def test_atoms_can_be_copied_with_their_calculator(atoms: Atoms) -> None:
    """A deep copy has results of its own on the same mesh."""
    energy = atoms.get_potential_energy()
    twin = copy.deepcopy(atoms)
    twin.rattle(0.02, seed=1)
    assert twin.get_potential_energy() != energy
    assert atoms.get_potential_energy() == energy


def test_what_is_wrong_with_atoms_is_raised(mesh: Mesh) -> None:
    """A molecule, a lone atom and an unknown model have their own errors."""
    for wrong, calculator, error in (
        (Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]]), MeshCalculator(mesh), InvalidCrystalError),
        (to_atoms(lone_atom()), MeshCalculator(mesh), IsolatedAtomError),
        (to_atoms(silicon()), MeshCalculator(mesh, model="oracle"), ModelNotFoundError),
    ):
        wrong.calc = calculator
        with pytest.raises(error):
            wrong.get_potential_energy()
