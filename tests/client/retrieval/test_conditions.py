from __future__ import annotations

from typing import Any, cast, get_args

import pytest

from crystalmesh.crystal.v1 import crystal_pb2, property_pb2
from crystalmesh_client import MaterialFilter, Target
from crystalmesh_client.conditions import CrystalSystemName
from crystalmesh_client.properties import PROPERTY_NAMES, SourceKindName, property_name, value_from
from crystalmesh_common.runtime.errors import InvalidFieldError


def test_a_filter_is_the_message_of_its_parts() -> None:
    """Elements in any notation, names and ranges with an open side arrive as the API has them."""
    message = MaterialFilter(
        elements="Li,O",
        only_elements="Fe-P",
        without_elements=(symbol for symbol in ("Pb", 80)),
        formula="LiFePO4",
        chemical_system="Li-Fe-P-O",
        space_groups=[62],
        crystal_systems=["orthorhombic"],
        band_gap_ev=(2, 4),
        energy_above_hull_ev_per_atom=(None, 0.05),
    ).to_proto()
    assert list(message.required_elements) == [3, 8]
    assert list(message.allowed_elements) == [26, 15]
    assert list(message.forbidden_elements) == [82, 80]
    assert (message.formula, message.chemical_system) == ("LiFePO4", "Li-Fe-P-O")
    assert list(message.space_group_numbers) == [62]
    assert list(message.crystal_systems) == [crystal_pb2.CRYSTAL_SYSTEM_ORTHORHOMBIC]
    gap, hull = message.properties
    assert (gap.property, gap.min, gap.max) == (property_pb2.PROPERTY_BAND_GAP_EV, 2, 4)
    assert (hull.HasField("min"), hull.max) == (False, 0.05)
    assert not MaterialFilter().to_proto().ListFields()


def test_a_target_is_the_message_of_its_parts() -> None:
    """Symmetry, words, and what filters have; its filter demands all but the words."""
    target = Target(elements="Na", space_group=225, band_gap_ev=(4, None), free_text="for a window")
    message = target.to_proto()
    assert (message.space_group_number, message.free_text) == (225, "for a window")
    assert list(message.required_elements) == [11]
    assert target.as_filter() == MaterialFilter(elements="Na", space_groups=(225,), band_gap_ev=(4, None))
    cubic = Target(crystal_system="cubic")
    assert cubic.to_proto().crystal_system == crystal_pb2.CRYSTAL_SYSTEM_CUBIC
    assert cubic.as_filter() == MaterialFilter(crystal_systems=("cubic",))
    assert not Target().to_proto().ListFields()


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"elements": "Li,Xx"}, "Xx is no element"),
        ({"only_elements": [0]}, "0 is no element"),
        ({"without_elements": "lead"}, "lead is no element"),
        ({"formula": "rust"}, "'rust' is no chemical formula"),
        ({"formula": "Fe2O3; drop"}, "is no chemical formula"),
        ({"formula": "Xx2"}, "is no chemical formula"),
        ({"formula": "12"}, "is no chemical formula"),
        ({"chemical_system": "Li,O"}, "is no chemical system like"),
        ({"band_gap_ev": (4, 2)}, "band_gap_ev cannot be at least 4 and at most 2"),
        ({"band_gap_ev": (None, None)}, "no bound"),
        ({"band_gap_ev": (float("nan"), 1)}, "NaN"),
        ({"band_gap_ev": 2}, "two bounds"),
    ],
)
@pytest.mark.parametrize("kind", [MaterialFilter, Target])
def test_what_cannot_be_meant_is_told_at_once(kind: type[Any], parts: dict[str, Any], told: str) -> None:
    """The line says which part and why, before any server is asked."""
    with pytest.raises(InvalidFieldError, match=told):
        kind(**parts)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: MaterialFilter(space_groups=(231,)), "231 is no space group"),
        (lambda: MaterialFilter(space_groups=cast("Any", 225)), "take lists"),
        (lambda: MaterialFilter(crystal_systems=cast("Any", "cubic")), "take lists"),
        (lambda: MaterialFilter(crystal_systems=cast("Any", ("round",))), "'round' is no crystal system"),
        (lambda: Target(space_group=0), "0 is no space group"),
        (lambda: Target(crystal_system=cast("Any", "round")), "'round' is no crystal system"),
        (lambda: Target(space_group=225, crystal_system="cubic"), "not both"),
        (lambda: Target(free_text="x" * 4001), "4,001 characters"),
        (lambda: Target(free_text="caf\udce9"), "UTF-8"),
    ],
)
def test_symmetry_and_words_are_checked(make: Any, told: str) -> None:
    """Numbers, names and lengths are told as wrong with what would be right."""
    with pytest.raises(InvalidFieldError, match=told):
        make()


def test_a_misspelt_property_is_no_argument() -> None:
    """The ranges are fields, so that a type checker and Python itself refuse a name that is none."""
    with pytest.raises(TypeError, match="band_gap"):
        MaterialFilter(band_gap=(2, 4))  # type: ignore[call-arg]


def test_names_are_those_of_the_api() -> None:
    """Every property, source kind and crystal system of the protos has its name here."""
    assert {f"PROPERTY_{name.upper()}" for name in PROPERTY_NAMES} | {"PROPERTY_UNSPECIFIED"} == set(
        property_pb2.Property.keys()
    )
    assert {f"SOURCE_KIND_{name.upper()}" for name in get_args(SourceKindName)} == set(
        property_pb2.SourceKind.keys()
    )
    systems = {f"CRYSTAL_SYSTEM_{name.upper()}" for name in get_args(CrystalSystemName)}
    assert systems | {"CRYSTAL_SYSTEM_UNSPECIFIED"} == set(crystal_pb2.CrystalSystem.keys())


def test_a_property_of_a_newer_server_is_kept() -> None:
    """A value of a property that this client does not know has a name and its value."""
    message = property_pb2.PropertyValue.FromString(bytes([0x08, 99, 0x11, *bytes(8)]))
    assert (property_name(message.property), value_from(message).value) == ("property_99", 0.0)
