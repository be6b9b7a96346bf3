from __future__ import annotations

import numpy as np
import pytest

from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import space_group_number
from crystalmesh_common.crystal.text import crystal_from_cif
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.samples.judging import judge
from crystalmesh_generation.samples.symmetrizing import cif_text, symmetrized
from tests.conftest import silicon, sodium_chloride


@pytest.mark.parametrize(
    ("aim", "missed"),
    [
        (Aim(), ()),
        (Aim(formula=((11, 1), (17, 1)), elements=frozenset({11, 17}), space_group_number=225), ()),
        (Aim(formula=((11, 1), (17, 2))), ("formula",)),
        (Aim(elements=frozenset({11})), ("chemical_system",)),
        (Aim(required=frozenset({19})), ("required_elements",)),
        (Aim(allowed=frozenset({17}), required=frozenset({11})), ()),
        (Aim(allowed=frozenset({17})), ("allowed_elements",)),
        (Aim(forbidden=frozenset({17, 1})), ("forbidden_elements",)),
        (Aim(space_group_number=227), ("space_group_number",)),
        (Aim(crystal_system="cubic"), ()),
        (Aim(crystal_system="hexagonal"), ("crystal_system",)),
        (Aim(ranges={"atoms_in_cell": Range(2, 2), "band_gap_ev": Range(9, 9)}), ()),
        (Aim(ranges={"atoms_in_cell": Range(3, None)}), ("properties",)),
        (Aim(ranges={"density_g_per_cubic_centimeter": Range(None, 1.0)}), ("properties",)),
    ],
)
def test_what_a_crystal_misses_of_a_target(aim: Aim, missed: tuple[str, ...]) -> None:
    """By the names of the target's fields; what the crystal alone does not show is not missed."""
    judged = judge(sodium_chloride(), aim)
    assert judged.missed == missed
    assert judged.valid
    assert judged.space_group_number == 225


def test_an_impossible_crystal_is_judged_too() -> None:
    """Atoms at one place are no structure, and no symmetry is claimed of them."""
    judged = judge(Crystal(np.eye(3) * 4, np.array([11, 17]), np.zeros((2, 3))), Aim())
    assert not judged.validity.structural
    assert judged.validity.shortest_distance_angstrom == pytest.approx(0)


def test_a_crystal_near_a_symmetry_is_moved_to_it() -> None:
    """Within the tolerance and no further; without a symmetry asked for, or far from it, not at all."""
    shifted = silicon(shift=0.005)
    aim = Aim(space_group_number=227)
    assert space_group_number(shifted) != 227
    moved = symmetrized(shifted, aim, 0.1)
    assert moved is not None
    assert space_group_number(moved, symprec=1e-4) == 227
    assert symmetrized(shifted, aim, 0.001) is None
    assert symmetrized(shifted, Aim(), 0.1) is None
    assert symmetrized(shifted, Aim(crystal_system="cubic"), 0.1) is not None
    assert symmetrized(shifted, Aim(space_group_number=225), 0.1) is None


def test_the_text_shows_the_symmetry_and_loses_no_atom() -> None:
    """A CIF has the space group within 0.1 Å; where that would merge atoms every site is listed."""
    assert "Fm-3m" in cif_text(sodium_chloride())
    crowded = Crystal(np.eye(3) * 3.0, np.array([11, 11]), np.array([[0.0, 0, 0], [0.02, 0, 0]]), "crowded")
    read = crystal_from_cif(cif_text(crowded))
    assert reduced_composition(read) == reduced_composition(crowded)
