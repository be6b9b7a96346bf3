from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalError,
    DisorderedCrystalError,
    InvalidCrystalError,
    UnreadableCrystalError,
)
from crystalmesh_retrieval.sources.structures import crystal_of_optimade, crystal_of_pymatgen
from tests.common.crystal.strategies import crystals
from tests.conftest import iron, sodium_chloride
from tests.retrieval.sources.databases import optimade_attributes, pymatgen_structure


@settings(deadline=None, max_examples=60)
@given(crystals())
def test_an_optimade_structure_is_the_crystal(crystal: Crystal) -> None:
    """Cell and elements exactly, coordinates up to rounding, whatever the cell."""
    read = crystal_of_optimade(optimade_attributes(crystal))
    assert np.array_equal(read.cell, crystal.cell)
    assert np.array_equal(read.numbers, crystal.numbers)
    assert np.allclose(read.frac_coords, crystal.frac_coords, atol=1e-9)


def test_lengths_may_be_in_another_unit() -> None:
    """Metres become Å."""
    crystal = sodium_chloride()
    read = crystal_of_optimade(optimade_attributes(crystal, per_angstrom=1e-10), unit_angstrom=1e10)
    assert np.allclose(read.cell, crystal.cell)
    assert np.allclose(read.frac_coords, crystal.frac_coords)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"lattice_vectors": None}, UnreadableCrystalError),
        ({"cartesian_site_positions": []}, UnreadableCrystalError),
        ({"cartesian_site_positions": [[0, 0, 0]]}, UnreadableCrystalError),
        ({"dimension_types": [1, 1, 0]}, InvalidCrystalError),
        ({"species_at_sites": ["Na", "vacancy"]}, InvalidCrystalError),
        ({"species_at_sites": ["Na", "X"]}, InvalidCrystalError),
        (
            {"species": [{"name": "Na", "chemical_symbols": ["Na", "K"], "concentration": [0.5, 0.5]}]},
            DisorderedCrystalError,
        ),
        (
            {"species": [{"name": "Na", "chemical_symbols": ["Na"], "concentration": [0.9]}]},
            DisorderedCrystalError,
        ),
    ],
)
def test_what_is_no_ordered_crystal_says_why(change: dict[str, Any], error: type[CrystalError]) -> None:
    """Missing parts, surfaces, vacancies and shared sites."""
    with pytest.raises(error):
        crystal_of_optimade({**optimade_attributes(sodium_chloride()), **change})


def test_a_pymatgen_structure_is_the_crystal() -> None:
    """Cell, elements, coordinates and moments as pymatgen writes them."""
    for crystal in (sodium_chloride(), iron()):
        read = crystal_of_pymatgen(pymatgen_structure(crystal))
        assert np.allclose(read.cell, crystal.cell)
        assert np.array_equal(read.numbers, crystal.numbers)
        assert np.allclose(read.frac_coords, crystal.frac_coords)
        if crystal.magnetic_moments is None:
            assert read.magnetic_moments is None
        else:
            assert read.magnetic_moments is not None
            assert np.array_equal(read.magnetic_moments, crystal.magnetic_moments)


def test_a_disordered_pymatgen_structure_is_refused() -> None:
    """A site with two elements, or one that is not always there."""
    for species in ([{"element": "Na", "occu": 0.5}], [{"element": "Na"}, {"element": "K"}]):
        structure = pymatgen_structure(sodium_chloride())
        structure["sites"][0]["species"] = species
        with pytest.raises(DisorderedCrystalError):
            crystal_of_pymatgen(structure)
