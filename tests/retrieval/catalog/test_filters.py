from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_retrieval.catalog.filters import CrystalSystem, MaterialFilter, PropertyBounds
from crystalmesh_retrieval.catalog.material import Property
from crystalmesh_retrieval.catalog.snapshot import Snapshot
from tests.conftest import iron
from tests.retrieval.materials import diamond, filled, material, salt


def fluorite() -> Crystal:
    """UF2: an element of either half of the bits."""
    sites = np.array([[0.0, 0, 0], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]])
    cell = 5.4 * np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    return Crystal(cell, np.array([92, 9, 9]), sites, "uf2")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Of nacl, si, fe and uf2; the gap of nacl and si is known."""
    folder: Path = tmp_path_factory.mktemp("filters")
    with filled(
        folder, salt("nacl", gap=5.0), diamond(), material(iron("fe")), material(fluorite())
    ) as writer:
        return writer.snapshot


@pytest.mark.parametrize(
    ("conditions", "passing"),
    [
        ({}, {"nacl", "si", "fe", "uf2"}),
        ({"required_elements": [11]}, {"nacl"}),
        ({"required_elements": [92, 9]}, {"uf2"}),
        ({"required_elements": [11, 14]}, set()),
        ({"allowed_elements": [9, 14, 92]}, {"si", "uf2"}),
        ({"allowed_elements": [9], "required_elements": [92]}, {"uf2"}),
        ({"forbidden_elements": [92, 26]}, {"nacl", "si"}),
        ({"chemical_system": "Cl-Na"}, {"nacl"}),
        ({"chemical_system": "F-U"}, {"uf2"}),
        ({"chemical_system": "U"}, set()),
        ({"formula": "Na2Cl2"}, {"nacl"}),
        ({"formula": "F4U2"}, {"uf2"}),
        ({"space_group_numbers": [229, 227]}, {"fe", "si"}),
        ({"crystal_systems": [CrystalSystem.CUBIC]}, {"nacl", "si", "fe", "uf2"}),
        ({"crystal_systems": [CrystalSystem.TRICLINIC, CrystalSystem.HEXAGONAL]}, set()),
        ({"crystal_systems": [CrystalSystem.CUBIC], "space_group_numbers": [225, 1]}, {"nacl", "uf2"}),
        ({"properties": {Property.BAND_GAP: PropertyBounds(0.6, 4)}}, {"si"}),
        ({"properties": {Property.BAND_GAP: PropertyBounds(maximum=5)}}, {"nacl", "si"}),
        ({"properties": {Property.BULK_MODULUS: PropertyBounds()}}, set()),
        ({"properties": {Property.ATOMS_IN_CELL: PropertyBounds(1, 1)}}, {"fe"}),
        ({"properties": {Property.DENSITY: PropertyBounds(7, 12)}}, {"fe", "uf2"}),
    ],
)
def test_materials_pass_for_which_all_holds(
    snapshot: Snapshot, conditions: Mapping[str, Any], passing: set[str]
) -> None:
    """Each part of a filter alone and together with others; a value that is not known does not pass."""
    wanted = MaterialFilter(**conditions)
    assert {found.id for found in snapshot.materials(wanted)} == passing
    assert snapshot.count(wanted) == len(passing)


@pytest.mark.parametrize("system", list(CrystalSystem))
def test_each_space_group_is_of_one_crystal_system(system: CrystalSystem) -> None:
    """The systems divide the 230 space groups as the International Tables do."""
    first_and_last = {
        "triclinic": (1, 2),
        "monoclinic": (3, 15),
        "orthorhombic": (16, 74),
        "tetragonal": (75, 142),
        "trigonal": (143, 167),
        "hexagonal": (168, 194),
        "cubic": (195, 230),
    }
    mask = MaterialFilter(crystal_systems=[system]).mask(_AllSpaceGroups(), 230)
    passing = np.flatnonzero(mask) + 1
    assert (passing[0], passing[-1]) == first_and_last[system]
    assert len(passing) == passing[-1] - passing[0] + 1


class _AllSpaceGroups:
    """Materials of space groups 1 to 230."""

    def column(self, name: str) -> np.ndarray:
        assert name == "space_group_number"
        return np.arange(1, 231, dtype=np.uint8)

    def texts(self, name: str) -> Any:
        raise AssertionError(name)


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ({"required_elements": [0]}, "0 is no atomic number"),
        ({"forbidden_elements": [119]}, "119 is no atomic number"),
        ({"space_group_numbers": [231]}, "231 is no space group"),
        ({"chemical_system": "Na-Xx"}, "'Xx' is no element"),
        ({"chemical_system": "-"}, "no chemical system"),
        ({"formula": "Quux"}, "'Quux' is no chemical formula"),
        ({"formula": "()"}, "no chemical formula"),
        ({"formula": "Na" * 500}, "no chemical formula"),
        ({"properties": {Property.BAND_GAP: PropertyBounds(2, 1)}}, "at least 2 and at most 1"),
        ({"properties": {Property.BAND_GAP: PropertyBounds(float("nan"))}}, "at least nan"),
    ],
)
def test_what_cannot_be_meant_is_refused(conditions: Mapping[str, Any], problem: str) -> None:
    """A filter that can never be meant says why, before any catalog is looked at."""
    with pytest.raises(InvalidFieldError, match=problem):
        MaterialFilter(**conditions)
