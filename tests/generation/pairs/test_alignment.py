from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.structure_matcher import StructureMatcher

from crystalmesh_common.crystal.matching import same_structure
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.crystal.symmetry import space_group_number
from crystalmesh_common.runtime.errors import InvalidCrystalError
from crystalmesh_generation.pairs.alignment import SITE_FRACTION, AlignableCrystal, align, align_prepared
from crystalmesh_generation.pairs.standard import standard_setting
from tests.generation.pairs.structures import (
    STRUCTURES,
    caesium_chloride,
    cinnabar,
    disguised,
    half_heusler,
    mirrored,
    perovskite,
    rock_salt,
    rutile,
    wurtzite,
    zincblende,
)
from tests.property.crystals import random_crystal

_EVERY = pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES.keys())


def _other_elements(crystal: Crystal) -> Crystal:
    """The next element but one for each, so that none meets itself."""
    return Crystal(crystal.cell, crystal.numbers + 18, crystal.frac_coords, crystal.id)


def _metric(crystal: Crystal) -> FloatArray:
    metric: FloatArray = crystal.cell @ crystal.cell.T
    return metric


def _largest_offset(first: Crystal, second: Crystal) -> float:
    offsets = first.frac_coords - second.frac_coords
    return float(np.abs(offsets - np.rint(offsets)).max())


@_EVERY
@pytest.mark.parametrize("seed", range(3))
def test_finds_the_setting_again(make: Callable[[], Crystal], seed: int) -> None:
    """A crystal in disguise comes back in the reference's setting, site by site, and is still itself."""
    reference = make()
    target = _other_elements(disguised(reference, seed))
    found = align(target, reference)
    assert found is not None
    assert found.displacement < 1e-6
    assert found.strain < 1e-6
    assert _largest_offset(found.crystal, reference) < 1e-6
    assert _metric(found.crystal) == pytest.approx(_metric(reference), abs=1e-9)
    assert found.crystal.numbers.tolist() == [found.elements[number] for number in reference.numbers.tolist()]
    assert same_structure(found.crystal, target)


@given(seed=st.integers(0, 10_000), atoms=st.integers(2, 9), noise=st.floats(0, 0.15))
@settings(max_examples=40, deadline=None)
def test_stays_itself(seed: int, atoms: int, noise: float) -> None:
    """A noisy copy of any crystal aligns with it: it is still itself, and no site is far from its role's."""
    reference = random_crystal(seed, atoms=atoms)
    target = disguised(reference, seed, noise=noise)
    found = align(target, reference)
    assert found is not None
    assert same_structure(found.crystal, target)
    spacing = np.cbrt(reference.volume / atoms)
    offsets = found.crystal.frac_coords - reference.frac_coords
    distances = np.linalg.norm((offsets - np.rint(offsets)) @ reference.cell, axis=1)
    assert distances.max() <= SITE_FRACTION * spacing * 1.05
    assert found.displacement == pytest.approx(np.sqrt((distances**2).mean()) / spacing, rel=0.2, abs=1e-6)


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_matches_what_structure_matcher_matches(noise: float) -> None:
    """Whether two crystals match is what StructureMatcher says, but for one at the edge of its tolerance."""
    matcher = StructureMatcher(primitive_cell=False)
    answers = []
    for seed in range(12):
        reference = random_crystal(seed, atoms=5)
        target = disguised(reference, seed + 1, noise=noise)
        found = align(target, reference)
        judged = matcher.fit_anonymous(to_structure(target), to_structure(reference))
        answers.append((found is not None) == judged)
    assert sum(answers) >= 11


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        (rock_salt(), zincblende()),
        (zincblende(), rock_salt()),
        (caesium_chloride(), rock_salt()),
        (perovskite(), cinnabar()),
        (rutile(), cinnabar()),
        (half_heusler(), rock_salt()),
    ],
)
def test_other_structures_do_not_align(target: Crystal, reference: Crystal) -> None:
    """Crystals of different structures, numbers of atoms or stoichiometries are no pair."""
    assert align(target, reference) is None


def test_roles_go_to_alike_elements() -> None:
    """Where the structure leaves the choice, a cation takes the place of a cation."""
    magnesia = align(rock_salt((12, 8), a=4.2), rock_salt((11, 17)))
    reversed_order = align(rock_salt((8, 12), a=4.2), rock_salt((11, 17)))
    assert magnesia is not None
    assert reversed_order is not None
    assert dict(magnesia.elements) == dict(reversed_order.elements) == {11: 12, 17: 8}


def test_structure_decides_before_chemistry() -> None:
    """In antifluorite the anion takes the cation's place, because nothing else fits."""
    cell = rock_salt().cell
    sites = np.array([[0.0, 0, 0], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]])
    fluorite = Crystal(cell, np.array([20, 9, 9]), sites)
    antifluorite = Crystal(0.85 * cell, np.array([8, 3, 3]), sites)
    found = align(antifluorite, fluorite)
    assert found is not None
    assert dict(found.elements) == {20: 8, 9: 3}


def test_tells_free_coordinates_and_axes() -> None:
    """Displacement and strain say how far a wurtzite with another u and c/a is from the reference."""
    found = align(disguised(wurtzite((48, 16), u=0.39, c=5.4), 3), wurtzite())
    assert found is not None
    cell = found.crystal.cell
    assert 0.001 < found.displacement < 0.02
    assert found.strain == pytest.approx(np.log(5.4 / 5.2) * np.sqrt(2 / 9), rel=1e-3)
    np.testing.assert_allclose(np.linalg.norm(cell, axis=1), [3.25, 3.25, 5.4])


def test_keeps_the_size_of_the_target() -> None:
    """The reference lends its setting, not its volume."""
    target = disguised(perovskite((56, 40, 16), a=5.0), 5)
    found = align(target, perovskite())
    assert found is not None
    assert found.crystal.volume == pytest.approx(125.0)


def test_mirror_images_align_in_right_handed_cells() -> None:
    """A left-handed quartz-like crystal aligns with the right-handed one, as its mirror image."""
    reference = standard_setting(cinnabar())
    target = disguised(mirrored(cinnabar((30, 52))), 2)
    assert space_group_number(target) != space_group_number(reference)
    found = align(target, reference)
    assert found is not None
    assert np.linalg.det(found.crystal.cell) > 0
    assert found.displacement < 1e-6
    assert space_group_number(found.crystal) == space_group_number(reference)
    assert same_structure(found.crystal, target)


def test_settles_disputes_about_partners() -> None:
    """Where two sites are nearest to the same partner, every site still gets one of its own."""
    reference = Crystal(np.diag([5.0, 5.0, 12.0]), np.array([26, 8, 8, 8]), np.array(
        [[0, 0, 0], [0.5, 0.5, 0.2], [0.5, 0.5, 0.33], [0.5, 0.5, 0.7]]
    ))  # fmt: skip
    target = Crystal(reference.cell, reference.numbers, np.array(
        [[0, 0, 0], [0.5, 0.5, 0.26], [0.5, 0.5, 0.38], [0.5, 0.5, 0.66]]
    ))  # fmt: skip
    found = align(target, reference)
    assert found is not None
    np.testing.assert_array_equal(found.crystal.numbers, reference.numbers)
    heights = found.crystal.frac_coords[:, 2]
    assert (heights[1:] - heights[0]) % 1 == pytest.approx([0.26, 0.38, 0.66])


def test_aligns_with_one_atom() -> None:
    """Elements of one atom align whatever the axes."""
    copper = Crystal(3.6 * rock_salt().cell / 5.6, np.array([29]), np.array([[0.1, 0.2, 0.3]]))
    silver = Crystal(4.1 * rock_salt().cell[::-1] / 5.6, np.array([47]), np.array([[0.0, 0.0, 0.0]]))
    found = align(silver, copper)
    assert found is not None
    assert _largest_offset(found.crystal, copper) < 1e-9


def test_prepared_crystals_give_the_same() -> None:
    """Preparing crystals once changes nothing, and neither does asking again."""
    reference, target = AlignableCrystal(rutile()), AlignableCrystal(disguised(rutile((50, 9), u=0.31), 8))
    first, again = align_prepared(target, reference), align(target.crystal, reference.crystal)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(first.crystal.frac_coords, again.crystal.frac_coords)
    np.testing.assert_array_equal(first.crystal.cell, again.crystal.cell)


def test_refuses_a_flat_cell() -> None:
    """A cell that spans no volume is an error of the caller, not a mismatch."""
    flat = Crystal(np.diag([4.0, 4.0, 0.0]), np.array([11, 17]), rock_salt().frac_coords)
    with pytest.raises(InvalidCrystalError):
        align(flat, rock_salt())
