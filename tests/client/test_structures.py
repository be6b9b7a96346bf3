from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure

from crystalmesh_client import Mesh
from crystalmesh_client.structures import relax
from crystalmesh_common.runtime.errors import OverlappingAtomsError
from tests.conftest import TOKEN, ServiceProcess, silicon


@pytest.fixture
def structure() -> Structure:
    """Silicon off its minimum, with all that pymatgen lets a structure carry."""
    crystal = silicon(shift=0.02)
    made = Structure(
        Lattice(crystal.cell),
        ["Si", "Si"],
        crystal.frac_coords,
        site_properties={"wyckoff": ["a", "a"]},
        labels=["Si1", "Si2"],
        properties={"source": "a test"},
    )
    return made.add_oxidation_state_by_site([0, 0])


def test_a_relaxed_structure_brings_its_evidence(mesh: Mesh, structure: Structure) -> None:
    """Properties say how it went, sites have forces and moments, and the input is untouched."""
    before = structure.copy()
    relaxed = relax(structure, mesh=mesh)
    evidence = relaxed.properties
    assert evidence["converged"]
    assert evidence["stop_reason"] == "converged"
    assert evidence["steps"] > 0
    assert evidence["energy_ev_per_atom"] < evidence["initial_energy_ev_per_atom"]
    assert evidence["max_force_ev_per_angstrom"] < 0.05
    assert evidence["model"] == "chgnet-0.3.0"
    assert len(relaxed.site_properties["forces"]) == 2
    assert relaxed.get_distance(0, 1) == pytest.approx(2.36, abs=0.02)
    assert structure == before


def test_what_a_structure_carries_stays(mesh: Mesh, structure: Structure) -> None:
    """Oxidation states, labels, site properties and properties are those of the input."""
    relaxed = relax(structure, mesh=mesh)
    assert relaxed.species == structure.species
    assert relaxed.labels == ["Si1", "Si2"]
    assert relaxed.site_properties["wyckoff"] == ["a", "a"]
    assert relaxed.properties["source"] == "a test"


def test_options_have_pymatgens_names(mesh: Mesh, structure: Structure) -> None:
    """`relax_cell=False` keeps the lattice, and `steps` ends a relaxation that is not done."""
    relaxed = relax(structure, mesh=mesh, relax_cell=False, fmax=1e-4, steps=1, optimizer="lbfgs")
    assert relaxed.lattice == structure.lattice
    assert (relaxed.properties["converged"], relaxed.properties["stop_reason"]) == (False, "step limit")


def test_without_a_mesh_it_finds_one(
    monkeypatch: pytest.MonkeyPatch, relaxation: ServiceProcess, structure: Structure
) -> None:
    """The environment says where the mesh is."""
    monkeypatch.setenv("CRYSTALMESH_ADDRESS", relaxation.address)
    monkeypatch.setenv("CRYSTALMESH_TOKEN", TOKEN)
    assert relax(structure, steps=1).properties["steps"] == 1


def test_what_is_wrong_with_a_structure_is_raised(mesh: Mesh) -> None:
    """Overlapping atoms are no result."""
    with pytest.raises(OverlappingAtomsError):
        relax(Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 0]]), mesh=mesh)
