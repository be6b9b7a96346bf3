"""pymatgen structures and ASE atoms."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given, settings
from pymatgen.core import DummySpecies, Lattice, Structure

from crystalmesh_common.crystal.ase_codec import from_atoms, to_atoms
from crystalmesh_common.crystal.pymatgen_codec import from_structure, to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import DisorderedCrystalError, InvalidCrystalError
from tests.common.crystal.strategies import crystals
from tests.conftest import iron, sodium_chloride


def assert_same(back: Crystal, crystal: Crystal) -> None:
    np.testing.assert_allclose(back.cell, crystal.cell, atol=1e-6)
    np.testing.assert_array_equal(back.numbers, crystal.numbers)
    np.testing.assert_allclose(back.frac_coords, crystal.frac_coords, atol=1e-6)
    assert back.id == crystal.id
    assert dict(back.scalars) == dict(crystal.scalars)
    if crystal.magnetic_moments is None:
        assert back.magnetic_moments is None
    else:
        np.testing.assert_allclose(back.magnetic_moments, crystal.magnetic_moments, atol=1e-6)


@settings(deadline=None, max_examples=100)
@given(crystal=crystals())
def test_pymatgen_round_trip(crystal: Crystal) -> None:
    """Any crystal survives pymatgen to 1e-6, with id, moments and scalars."""
    assert_same(from_structure(to_structure(crystal)), crystal)


@settings(deadline=None, max_examples=100)
@given(crystal=crystals())
def test_ase_round_trip(crystal: Crystal) -> None:
    """Any crystal survives ASE to 1e-6, with id, moments and scalars."""
    assert_same(from_atoms(to_atoms(crystal)), crystal)


def test_disorder_names_the_site() -> None:
    """A shared or partial site is refused with its number, its occupants and their shares."""
    lattice = Lattice.cubic(4)
    shared = Structure(lattice, ["Na", {"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(DisorderedCrystalError, match=r"site 1 is occupied by Fe 0\.5, Ni 0\.5"):
        from_structure(shared)
    with pytest.raises(DisorderedCrystalError, match=r"site 0 is occupied by Cu 0\.9"):
        from_structure(Structure(lattice, [{"Cu": 0.9}], [[0, 0, 0]]))


def test_oxidation_states_are_dropped() -> None:
    """A structure decorated with oxidation states is the same crystal as without."""
    structure = to_structure(sodium_chloride())
    structure.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    assert from_structure(structure).numbers.tolist() == [11, 17]


def test_no_element() -> None:
    """Dummy species and ASE's element X are refused by site."""
    dummy = Structure(Lattice.cubic(4), [DummySpecies("Xa")], [[0, 0, 0]])
    with pytest.raises(InvalidCrystalError, match="site 0 holds Xa"):
        from_structure(dummy)
    with pytest.raises(InvalidCrystalError, match="atom 1 has atomic number 0"):
        from_atoms(Atoms("NaX", cell=[4, 4, 4], positions=[[0, 0, 0], [2, 2, 2]], pbc=True))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("H2O"), "no cell"),
        (Atoms("Cu", cell=[3, 3, 0], pbc=True), "no cell"),
        (Atoms("Cu", cell=[3, 3, np.nan], pbc=True), "not finite"),
        (Atoms("Cu", cell=[3, 3, 20], pbc=[True, True, False]), "set atoms.pbc = True"),
    ],
)
def test_not_periodic(atoms: Atoms, message: str) -> None:
    """Molecules, slabs and broken cells are refused with what is missing."""
    with pytest.raises(InvalidCrystalError, match=message):
        from_atoms(atoms)


def test_structure_that_is_not_periodic() -> None:
    """A pymatgen lattice with an open direction is refused."""
    slab = Structure(Lattice(np.eye(3) * 5, pbc=(True, True, False)), ["Cu"], [[0, 0, 0]])
    with pytest.raises(InvalidCrystalError, match="not periodic"):
        from_structure(slab)


def test_non_collinear_moments() -> None:
    """Vector moments are refused rather than flattened."""
    structure = to_structure(iron())
    structure.add_site_property("magmom", [[0, 0, 2.0], [0, 2.0, 0]])
    with pytest.raises(InvalidCrystalError, match="non-collinear"):
        from_structure(structure)
    atoms = to_atoms(sodium_chloride())
    atoms.set_initial_magnetic_moments([[0, 0, 2.0], [0, 2.0, 0]])
    with pytest.raises(InvalidCrystalError, match="non-collinear"):
        from_atoms(atoms)


def test_missing_moments() -> None:
    """Sites without a moment among sites with one have none."""
    structure = to_structure(iron())
    structure.add_site_property("magmom", [1.5, None])
    moments = from_structure(structure).magnetic_moments
    assert moments is not None
    assert moments.tolist() == [1.5, 0.0]


def test_moments_of_a_calculator() -> None:
    """Atoms read with results keep the moments that their calculator holds."""
    atoms = to_atoms(sodium_chloride())
    atoms.calc = SinglePointCalculator(atoms, magmoms=[0.5, -0.5])
    moments = from_atoms(atoms).magnetic_moments
    assert moments is not None
    assert moments.tolist() == [0.5, -0.5]


def test_given_id_wins() -> None:
    """The id that the caller gives goes before the one inside."""
    assert from_structure(to_structure(iron("inside")), id="given").id == "given"
    assert from_atoms(to_atoms(iron("inside")), id="given").id == "given"


def test_scalar_named_id() -> None:
    """A scalar named "id" is refused, because it would displace the id."""
    crystal = Crystal(np.eye(3) * 4, np.array([1]), np.zeros((1, 3)), scalars={"id": 1.0})
    for convert in (to_structure, to_atoms):
        with pytest.raises(InvalidCrystalError, match="named 'id'"):
            convert(crystal)
