"""Matching, deduplication and the index, held against StructureMatcher itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core.structure_matcher import StructureMatcher

from crystalmesh_common.crystal.matching import StructureIndex, dedupe, same_structure
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError, TooManyAtomsError
from tests.conftest import block, iron, silicon, sodium_chloride


def rattled(crystal: Crystal, rng: np.random.Generator, *, displacement: float = 0.05) -> Crystal:
    """The crystal shifted, strained and shaken, its atoms in another order."""
    order = rng.permutation(len(crystal))
    moved = crystal.cart_coords + rng.normal(size=(len(crystal), 3)) * displacement
    strain = np.eye(3) + rng.normal(size=(3, 3)) * 0.01
    frac_coords = (moved @ np.linalg.inv(crystal.cell))[order] + rng.random(3)
    return Crystal(crystal.cell @ strain, crystal.numbers[order], frac_coords, crystal.id)


def prototypes() -> list[Crystal]:
    """Polymorphs and neighbours that are easy to confuse."""
    salt = sodium_chloride()
    caesium_chloride = replace(salt, cell=np.eye(3) * 3.4)
    zincblende = replace(salt, frac_coords=np.array([[0, 0, 0], [0.25, 0.25, 0.25]]))
    tetragonal = replace(caesium_chloride, cell=np.diag([3.4, 3.4, 4.4]))
    potassium = replace(salt, numbers=np.array([19, 17]))
    swapped = replace(salt, numbers=np.array([17, 11]))
    fcc = Crystal(salt.cell * 0.65, np.array([26]), np.zeros((1, 3)))
    return [salt, caesium_chloride, zincblende, tetragonal, potassium, swapped, iron(), fcc, silicon()]


def test_same_as_structure_matcher() -> None:
    """Groups are exactly StructureMatcher's, over polymorphs, shaken copies, scaled copies and supercells."""
    rng = np.random.default_rng(0)
    crystals = [*prototypes(), block(repeat=2)]
    crystals += [replace(crystal, cell=crystal.cell * 1.1) for crystal in crystals]
    for displacement in (0.02, 0.1, 0.3):
        crystals += [rattled(crystal, rng, displacement=displacement) for crystal in crystals[:10]]
    crystals += crystals[:3]
    crystals = [crystals[k] for k in rng.permutation(len(crystals))]

    structures = [to_structure(replace(crystal, id=str(k))) for k, crystal in enumerate(crystals)]
    theirs = StructureMatcher().group_structures(structures)
    positions = [[int(str(structure.properties["id"])) for structure in group] for group in theirs]
    assert sorted(map(sorted, dedupe(crystals))) == sorted(map(sorted, positions))


def test_pairs() -> None:
    """A supercell, a scaled and a shaken copy are the same; another polymorph and another element are not."""
    salt, caesium_chloride, zincblende, _, potassium, *_ = prototypes()
    rng = np.random.default_rng(1)
    for same in (block(repeat=2), replace(salt, cell=salt.cell * 1.3), rattled(salt, rng)):
        assert same_structure(salt, same)
    for other in (caesium_chloride, zincblende, potassium, silicon()):
        assert not same_structure(salt, other)


def test_groups_are_in_order() -> None:
    """Groups come in the order of their first members, members in the order given."""
    crystals = [silicon("a"), iron("b"), silicon("c", shift=0.01), iron("d"), silicon("e")]
    assert dedupe(crystals) == [[0, 2, 4], [1, 3]]
    assert dedupe([]) == []


def test_index_grows() -> None:
    """A crystal is new once; then it and its like are found at its position, and finding adds nothing."""
    index = StructureIndex()
    assert index.find(silicon()) is None
    assert index.add(silicon("first")) == 0
    assert index.add(iron()) == 1
    assert index.add(silicon("again", shift=0.01)) == 0
    assert index.find(silicon("copy")) == 0
    assert index.find(sodium_chloride()) is None
    assert len(index) == 2
    assert index[0].id == "first"


def test_large_cells() -> None:
    """A large supercell is compared by its primitive cell; a large disordered cell is refused."""
    assert same_structure(block(repeat=5), sodium_chloride())
    rng = np.random.default_rng(2)
    amorphous = Crystal(np.eye(3) * 16.0, np.full(201, 14), rng.random((201, 3)))
    with pytest.raises(TooManyAtomsError, match="201 atoms in the primitive cell; at most 200"):
        same_structure(amorphous, silicon())


def test_needles() -> None:
    """A needle-shaped cell is refused before it is compared, and leaves the index as it was."""
    needle = Crystal(np.diag([1.0, 1.0, 500.0]), np.array([14]), np.zeros((1, 3)))
    index = StructureIndex()
    with pytest.raises(InvalidCrystalError, match="too long and thin"):
        index.add(needle)
    assert len(index) == 0
    assert index.add(silicon()) == 0
