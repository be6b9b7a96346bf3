"""Structure types by name."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest

from crystalmesh_common.crystal.description.prototypes import prototype_label, structure_type_of
from crystalmesh_common.crystal.description.structure_types import STRUCTURE_TYPES
from crystalmesh_common.crystal.elements import SYMBOLS
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import primitive_cell, symmetry_of
from tests.common.crystal.description.known_structures import (
    copper_gold,
    dry_ice,
    molybdenite,
    rhenium_oxide,
    sodium_cobaltate,
    strontium_titanate,
    titania,
    triclinic,
)
from tests.conftest import iron, silicon, sodium_chloride

_ORDERS = {
    point_group: order
    for order, point_groups in {
        1: "1",
        2: "-1 2 m",
        3: "3",
        4: "2/m mm2 m2m 2mm 222 4 -4",
        6: "-3 32 3m -6 6",
        8: "mmm 4/m 4mm -42m -4m2 422",
        12: "-3m -62m -6m2 6/m 6mm 622 23",
        16: "4/mmm",
        24: "m-3 -43m 432 6/mmm",
        48: "m-3m",
    }.items()
    for point_group in point_groups.split()
}
"""How many operations a point group has."""


@pytest.mark.parametrize(
    ("crystal", "coordination", "name"),
    [
        (sodium_chloride(), [6], "rock salt"),
        (silicon(), [], "diamond"),
        (iron(), [], "body-centred cubic"),
        (strontium_titanate(), [6, 12], "perovskite"),
        (titania(), [6], "rutile"),
        (molybdenite(), [6], "molybdenite"),
        (copper_gold(), [], "L1_2"),
        (rhenium_oxide(), [6], "D0_9"),
        (sodium_cobaltate(), [6, 6], "caswellsilverite"),
        (sodium_cobaltate(), [2, 6], "delafossite"),
        (dry_ice(), [2], None),
        (triclinic(), [6], None),
    ],
)
def test_types(crystal: Crystal, coordination: list[int], name: str | None) -> None:
    """Types are known by their sites, and those on the same sites by the coordination of their cations."""
    primitive = primitive_cell(crystal)
    known = structure_type_of(primitive, symmetry_of(primitive), coordination)
    assert (known and known.name) == name


@pytest.mark.parametrize(
    ("crystal", "formula", "label"),
    [
        (sodium_chloride(), "AB", "AB_cF8_225"),
        (sodium_cobaltate(), "ABC2", "ABC2_hR4_166"),
        (titania(), "AB2", "AB2_tP6_136"),
        (triclinic(), "ABCD", "ABCD_aP4_1"),
    ],
)
def test_labels(crystal: Crystal, formula: str, label: str) -> None:
    """Labels are AFLOW's, as far as they do not depend on the origin."""
    primitive = primitive_cell(crystal)
    assert prototype_label(formula, primitive, symmetry_of(primitive)) == label


def test_names_tell_no_element() -> None:
    """No name of a type is or holds the symbol of an element, except for the letters of a Strukturbericht."""
    for known in STRUCTURE_TYPES:
        for word in re.findall(r"[A-Z][a-z]?(?![a-z])(?![0-9_])", known.name):
            assert word not in SYMBOLS, known.name


def test_every_type_can_be_found() -> None:
    """No two types have the same sites and condition; a type without one is the last of its sites."""
    rows = Counter(
        (known.space_group_number, known.sites, known.cation_coordination) for known in STRUCTURE_TYPES
    )
    assert max(rows.values()) == 1
    unconditional: set[tuple[int, str]] = set()
    for known in STRUCTURE_TYPES:
        assert (known.space_group_number, known.sites) not in unconditional
        if known.cation_coordination is None:
            unconditional.add((known.space_group_number, known.sites))


def test_multiplicities() -> None:
    """An orbit has as many atoms in the primitive cell as the order of its point group leaves."""
    orders: dict[int, set[int]] = defaultdict(set)
    for known in STRUCTURE_TYPES:
        for orbit in re.split(r" [|+] ", known.sites):
            count, point_group = orbit.split()
            orders[known.space_group_number].add(int(count) * _ORDERS[point_group])
    assert {number: len(products) for number, products in orders.items() if len(products) > 1} == {}
