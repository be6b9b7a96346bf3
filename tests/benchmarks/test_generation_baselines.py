from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.generation_baselines import (
    Sources,
    data_mined,
    known_formulas,
    nearest_elements,
    one_element,
    write,
)
from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_common.crystal.matching import same_structure
from crystalmesh_common.crystal.structure import Crystal
from tests.conftest import sodium_chloride
from tests.generation.substitution.tables import SmallTable
from tests.property.crystals import rock_salt

TRAIN = [rock_salt(number) for number in range(0, 49, 2)]
GIVEN = Sources(TRAIN, {reduced_composition(crystal) for crystal in TRAIN}, SmallTable())


def caesium_iodide() -> Crystal:
    return Crystal(
        4.57 * np.eye(3), np.array([55, 53]), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]), "target"
    )


def test_the_nearest_elements_are_the_chemist_s() -> None:
    """By Mendeleev number and electronegativity, heavy alkali metals are nearest to potassium."""
    near = nearest_elements(19, frozenset({3, 9, 11, 17, 19, 26, 35, 37, 53, 55, 79}))
    assert len(near) == 6
    assert set(near[:3]) == {11, 37, 55}
    assert 19 not in near


def test_both_baselines_make_new_compositions_only() -> None:
    """Every crystal has a composition that neither the sources nor another of its baseline have."""
    for baseline in (one_element(GIVEN, 8, seed=1), data_mined(GIVEN, 8, seed=1)):
        compositions = {reduced_composition(crystal) for crystal in baseline.crystals}
        assert len(compositions) == 8
        assert not compositions & set(GIVEN.known)


def test_a_known_formula_comes_from_another_formula_s_prototype() -> None:
    """A target's formula is made from the likeliest crystal of the same stoichiometry, not from itself."""
    [sample] = known_formulas(GIVEN, [sodium_chloride("target")]).samples
    assert sample.crystal.id == "target"
    assert reduced_composition(sample.crystal) == ((11, 1), (17, 1))
    assert same_structure(sample.crystal, sodium_chloride())
    source = next(crystal for crystal in TRAIN if crystal.id == sample.reference_id)
    assert reduced_composition(source) != ((11, 1), (17, 1))


def test_a_stoichiometry_that_nothing_has_is_left_out() -> None:
    """There is no sample for a formula without a prototype."""
    lonely = Crystal(9 * np.eye(3), np.array([3, 3, 8]), np.array([[0.0, 0, 0], [0.3, 0, 0], [0, 0.3, 0]]))
    assert [each.crystal.id for each in known_formulas(GIVEN, [lonely, caesium_iodide()]).samples] == [
        "target"
    ]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Each crystal is a CIF and a frame of extended XYZ, and JSON says what it came from."""
    baseline = data_mined(GIVEN, 3, seed=0)
    write(baseline, tmp_path)
    facts = json.loads((tmp_path / "data-mined.json").read_text())
    assert [each["id"] for each in facts["samples"]] == [crystal.id for crystal in baseline.crystals]
    frames = read_crystals(tmp_path / "data-mined.extxyz")
    for crystal, frame in zip(baseline.crystals, frames, strict=True):
        [cif] = read_crystals(tmp_path / "data-mined" / f"{crystal.id}.cif")
        for read in (cif, frame):
            assert read.numbers.tolist() == crystal.numbers.tolist()
            np.testing.assert_allclose(read.volume, crystal.volume, rtol=1e-6)
