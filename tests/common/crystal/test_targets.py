from __future__ import annotations

import math
from typing import Any

import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CRYSTAL_SYSTEM_CUBIC
from crystalmesh.crystal.v1.property_pb2 import (
    PROPERTY_ATOMS_IN_CELL,
    PROPERTY_BAND_GAP_EV,
    PROPERTY_UNSPECIFIED,
)
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.targets import (
    atoms_within,
    check_target,
    crystal_system_of_target,
    target_ranges,
)
from crystalmesh_common.runtime.errors import InvalidRequestError

NONE_SUCH: Any = 99
"""Not a value of any enum."""


def test_parts_by_name() -> None:
    """Ranges go by the names in the API, the crystal system by its own, and open bounds are None."""
    target = Target(
        properties=[
            PropertyRange(property=PROPERTY_BAND_GAP_EV, min=2, max=4),
            PropertyRange(property=PROPERTY_ATOMS_IN_CELL, max=8),
        ],
        crystal_system=CRYSTAL_SYSTEM_CUBIC,
    )
    check_target(target)
    assert target_ranges(target) == {"band_gap_ev": Range(2, 4), "atoms_in_cell": Range(max=8)}
    assert crystal_system_of_target(target) == "cubic"
    assert crystal_system_of_target(Target(space_group_number=225)) == ""


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (Range(), (1, 20)),
        (Range(min=0, max=8), (1, 8)),
        (Range(min=2.5, max=7.5), (3, 7)),
        (Range(min=30), (30, 20)),
        (Range(max=-3), (1, -3)),
    ],
)
def test_atoms_are_whole(atoms: Range, expected: tuple[int, int]) -> None:
    """Bounds on atoms are narrowed to whole numbers, and to what there may be at most."""
    assert atoms_within({"atoms_in_cell": atoms}, at_most=20) == expected
    assert atoms_within({}, at_most=20) == (1, 20)


@pytest.mark.parametrize(
    "target",
    [
        Target(),
        Target(free_text="x" * 4000),
        Target(chemical_system="Xe-O", properties=[PropertyRange(property=PROPERTY_BAND_GAP_EV, min=20)]),
        Target(formula="NaCl", properties=[PropertyRange(property=PROPERTY_ATOMS_IN_CELL, min=1e300)]),
        Target(formula="C60H60O60N60F60P60S60Cl60"),
    ],
)
def test_what_can_be_meant_passes(target: Target) -> None:
    """Nothing, long texts, and wishes that nothing in the world fulfils."""
    check_target(target)


@pytest.mark.parametrize(
    ("target", "reason", "field"),
    [
        (Target(free_text="x" * 4001), "INVALID_FIELD", "target.free_text"),
        (Target(space_group_number=0), "INVALID_FIELD", "target.space_group_number"),
        (Target(space_group_number=231), "INVALID_FIELD", "target.space_group_number"),
        (Target(crystal_system=NONE_SUCH), "UNKNOWN_ENUM_VALUE", "target.crystal_system"),
        (Target(formula="Xx"), "INVALID_FIELD", "target.formula"),
        (Target(required_elements=[119]), "INVALID_FIELD", "target.required_elements"),
        (Target(formula="NaCl", forbidden_elements=[11]), "CONTRADICTORY_TARGET", "target.formula"),
        (Target(properties=[PropertyRange(property=NONE_SUCH, min=1)]), "UNKNOWN_ENUM_VALUE", ""),
        (Target(properties=[PropertyRange(property=PROPERTY_UNSPECIFIED, min=1)]), "UNKNOWN_ENUM_VALUE", ""),
        (Target(properties=[PropertyRange(property=PROPERTY_BAND_GAP_EV)]), "INVALID_FIELD", ""),
        (
            Target(properties=[PropertyRange(property=PROPERTY_BAND_GAP_EV, min=3, max=2)]),
            "INVALID_FIELD",
            "",
        ),
        (
            Target(properties=[PropertyRange(property=PROPERTY_BAND_GAP_EV, min=math.nan)]),
            "INVALID_FIELD",
            "",
        ),
        (
            Target(properties=[PropertyRange(property=PROPERTY_BAND_GAP_EV, max=math.inf)]),
            "INVALID_FIELD",
            "",
        ),
        (
            Target(properties=[PropertyRange(property=PROPERTY_BAND_GAP_EV, max=1)] * 2),
            "INVALID_FIELD",
            "target.properties",
        ),
        (
            Target(properties=[PropertyRange(property=PROPERTY_ATOMS_IN_CELL, min=2.2, max=2.8)]),
            "CONTRADICTORY_TARGET",
            "target",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(target: Target, reason: str, field: str) -> None:
    """With the reason, and the field that is wrong."""
    with pytest.raises(InvalidRequestError) as refusal:
        check_target(target)
    assert refusal.value.reason == reason
    assert refusal.value.details["field"] == (field or "target.properties")
