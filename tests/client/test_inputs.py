from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure

from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime import errors
from tests.conftest import silicon, sodium_chloride


def salt_structure() -> Structure:
    salt = sodium_chloride()
    return Structure(Lattice(salt.cell), ["Na", "Cl"], salt.frac_coords)


def salt_atoms() -> Atoms:
    salt = sodium_chloride()
    return Atoms("NaCl", cell=salt.cell, scaled_positions=salt.frac_coords, pbc=True)


@pytest.fixture
def salt_file(tmp_path: Path) -> Path:
    """Rock salt as a CIF file."""
    path = tmp_path / "salt.cif"
    path.write_text(crystal_to_cif(sodium_chloride()))
    return path


def test_every_form_is_the_same_crystal(salt_file: Path) -> None:
    """A Crystal, a pymatgen Structure, ASE Atoms and a path give the same cell, atoms and coordinates."""
    salt = sodium_chloride()
    for given in (salt, salt_structure(), salt_atoms(), salt_file):
        crystal = to_crystal(given)
        assert crystal.volume == pytest.approx(salt.volume, rel=1e-6)
        assert crystal.numbers.tolist() == [11, 17]
        np.testing.assert_allclose(crystal.frac_coords, salt.frac_coords, atol=1e-6)


def test_a_crystal_passes_as_it_is() -> None:
    """Nothing is copied or renamed."""
    salt = sodium_chloride()
    assert to_crystal(salt) is salt


@pytest.mark.parametrize("given", ["NaCl.cif", 5, None, {"lattice": 1}, [sodium_chloride()]])
def test_anything_else_is_refused_by_name(given: CrystalLike) -> None:
    """A string is no path and a list is no crystal: the type is named."""
    with pytest.raises(errors.InvalidCrystalError, match=type(given).__name__):
        to_crystal(given)


def test_a_file_of_many_is_not_one_crystal(tmp_path: Path) -> None:
    """A path must hold exactly one crystal, and an unreadable file says why."""
    several = tmp_path / "several.xyz"
    ase.io.write(several, [salt_atoms(), salt_atoms()], format="extxyz")
    with pytest.raises(errors.InvalidCrystalError, match="2 crystals"):
        to_crystal(several)
    with pytest.raises(errors.UnreadableCrystalError, match=r"none\.cif"):
        to_crystal(tmp_path / "none.cif")


def test_crystals_without_ids_are_numbered() -> None:
    """The position is the name of those that have none."""
    crystals = to_crystals([salt_structure(), silicon("mine"), salt_atoms()])
    assert [crystal.id for crystal in crystals] == ["0", "mine", "2"]


def test_two_crystals_of_one_id_are_refused_before_anything_is_sent() -> None:
    """Outcomes could not be told apart."""
    with pytest.raises(errors.DuplicateIdError, match="twin"):
        to_crystals([silicon("twin"), sodium_chloride("twin")])
    with pytest.raises(errors.DuplicateIdError):
        to_crystals([silicon("1"), salt_atoms()])


def test_a_partly_occupied_structure_is_refused() -> None:
    """Disorder is refused on the way in."""
    disordered = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    with pytest.raises(errors.DisorderedCrystalError):
        to_crystal(disordered)
