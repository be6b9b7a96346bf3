"""Structures in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.description import describe_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import CrystalError, InvalidCrystalError
from tests.common.crystal.description.known_structures import (
    dry_ice,
    known_structures,
    molybdenite,
    other_cells,
    selenium,
    strontium_titanate,
    triclinic,
)
from tests.common.crystal.strategies import crystals
from tests.conftest import lone_atom, sodium_chloride


def test_perovskite() -> None:
    """All is said: type, label, symmetry, network, and for each element shape, distances and sharing."""
    assert describe_structure(strontium_titanate()) == (
        "SrTiO3: perovskite (CaTiO3 type), ABC3_cP5_221, cubic, space group Pm-3m (221)."
        " One connected framework."
        " Sr: cuboctahedron of 12 O at 2.76 Å; shares corners with 12 SrO12, faces with 6 SrO12 and 8 TiO6."
        " Ti: octahedron of 6 O at 1.95 Å; shares corners with 6 TiO6, faces with 8 SrO12."
        " O: line of 2 Ti at 1.95 Å."
    )


def test_without_formula() -> None:
    """Without formula elements are letters and the type is not called after a compound."""
    assert describe_structure(sodium_chloride(), formula=False) == (
        "rock salt, AB_cF8_225, cubic, space group Fm-3m (225). One connected framework."
        " A: octahedron of 6 B at 2.85 Å; shares corners with 6 AB6, edges with 12 AB6."
        " B: octahedron of 6 A at 2.85 Å."
    )


@pytest.mark.parametrize(("cation", "anion"), [(19, 35), (12, 8), (47, 17)])
def test_without_formula_elements_do_not_show(cation: int, anion: int) -> None:
    """Without formula crystals of one geometry read the same, whatever they are made of."""
    salt = sodium_chloride()
    other = replace(salt, numbers=np.array([cation, anion]))
    assert describe_structure(other, formula=False) == describe_structure(salt, formula=False)
    assert describe_structure(other) != describe_structure(salt)


@pytest.mark.parametrize(
    ("crystal", "sentence"),
    [
        (molybdenite(), " Layers of MoS2. Mo: trigonal prism of 6 S at 2.42 Å; "),
        (selenium(), " Chains of Se. Se: distorted right angle of 2 Se at 2.37 Å."),
        (dry_ice(), " Molecules of CO2. C: line of 2 O at 1.14 Å. O: 1 C at 1.14 Å."),
        (lone_atom(), " Molecules of Ar. Ar: no neighbours."),
    ],
)
def test_networks(crystal: Crystal, sentence: str) -> None:
    """Layers, chains and molecules are named by what they are made of."""
    assert sentence in describe_structure(crystal)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_every_cell_reads_the_same(data: st.DataObject) -> None:
    """Supercells, skewed and turned cells, other origins and orders of sites give the same text."""
    crystal = data.draw(st.sampled_from(known_structures()))
    other = data.draw(other_cells(crystal))
    assert describe_structure(other) == describe_structure(crystal)
    assert describe_structure(other, formula=False) == describe_structure(crystal, formula=False)


@given(crystal=crystals())
@settings(deadline=None, max_examples=60)
def test_any_crystal(crystal: Crystal) -> None:
    """Every crystal that passes the check has a text, or an InvalidCrystalError where it has no symmetry."""
    try:
        check_crystal(crystal, max_atoms=10)
        text = describe_structure(crystal)
    except CrystalError:
        return
    assert text.startswith(f"{reduced_formula(crystal)}: ")


def test_part_of_an_element() -> None:
    """Atoms of one element in different surroundings have a sentence each, with their share."""
    salt = sodium_chloride()
    sites = np.concatenate([salt.frac_coords, [[0.25, 0.25, 0.25]]])
    stuffed = Crystal(1.2 * salt.cell, np.array([11, 17, 11]), sites)
    assert describe_structure(stuffed).count(" Na (1/2): ") == 2


def test_symmetry_within_a_tolerance() -> None:
    """Atoms a little off their sites are described as on them, within the tolerance that is asked for."""
    crystal = strontium_titanate()
    moved = crystal.frac_coords.copy()
    moved[1, 2] += 0.01
    crystal = replace(crystal, frac_coords=moved)
    assert "perovskite (CaTiO3 type), ABC3_cP5_221" in describe_structure(crystal)
    assert "ABC3_tP5_99" in describe_structure(crystal, symprec=0.001)


def test_no_crystal() -> None:
    """What has no symmetry that could be determined has no text."""
    broken = triclinic()
    broken.frac_coords[0] = np.nan
    with pytest.raises(InvalidCrystalError):
        describe_structure(broken)
