"""Formulas and density."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from crystalmesh_common.crystal.composition import (
    anonymous_formula,
    chemical_system,
    composition_of,
    density_g_per_cubic_centimeter,
    reduced_composition,
    reduced_formula,
    reduced_formula_of_text,
)
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError
from tests.common.crystal.strategies import crystals
from tests.conftest import block, silicon, sodium_chloride


def _of(*numbers: int) -> Crystal:
    sites = np.linspace(0, 0.9, len(numbers))[:, None] * np.ones(3)
    return Crystal(np.eye(3) * 6.0, np.array(numbers), sites)


@pytest.mark.parametrize(
    ("numbers", "formula"),
    [
        ([8], "O2"),
        ([26, 8, 26, 8, 8], "Fe2O3"),
        ([15, 3, 26, 8, 8, 8, 8], "LiFePO4"),
        ([11, 8], "Na2O2"),
        ([2, 10], "HeNe"),
        ([104, 118], "OgRf"),
    ],
)
def test_reduced_formula(numbers: list[int], formula: str) -> None:
    """Formulas are those that pymatgen prints, without its warnings about noble and heavy elements."""
    assert reduced_formula(_of(*numbers)) == formula


@pytest.mark.parametrize(
    ("text", "formula"),
    [("PO4FeLi", "LiFePO4"), ("Li2 Fe2 (P O4)2", "LiFePO4"), ("O", "O2"), ("Ca(OH)2", "Ca(HO)2")],
)
def test_formula_of_text(text: str, formula: str) -> None:
    """A formula is read however it is written, and printed in one way."""
    assert reduced_formula_of_text(text) == formula


@pytest.mark.parametrize("text", ["", "Qq2", "hello", "Li(", "2", "X2O", "Li-1", "((" * 90, "Li" * 200])
def test_no_formula(text: str) -> None:
    """Text that is no formula is refused."""
    with pytest.raises(InvalidFieldError, match="is no chemical formula"):
        reduced_formula_of_text(text)


@settings(deadline=None, max_examples=60)
@given(crystal=crystals())
def test_as_pymatgen(crystal: Crystal) -> None:
    """Formulas, chemical system and density are pymatgen's for any crystal."""
    reduced_formula(crystal)  # takes pymatgen's warnings with it
    structure = to_structure(crystal)
    assert reduced_formula(crystal) == structure.composition.reduced_formula
    assert anonymous_formula(crystal) == structure.composition.anonymized_formula
    assert chemical_system(crystal) == structure.composition.chemical_system
    assert density_g_per_cubic_centimeter(crystal) == pytest.approx(structure.density, rel=1e-6)


def test_supercells() -> None:
    """A supercell has the reduced composition of its cell, and its own composition."""
    assert composition_of(block(repeat=3)) == ((11, 27), (17, 27))
    assert (
        reduced_composition(block(repeat=3)) == reduced_composition(sodium_chloride()) == ((11, 1), (17, 1))
    )


def test_density_of_silicon() -> None:
    """Silicon at its lattice constant has its density."""
    assert density_g_per_cubic_centimeter(silicon()) == pytest.approx(2.28, abs=0.01)
