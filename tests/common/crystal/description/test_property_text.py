"""Properties in one line."""

from __future__ import annotations

import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalSystem
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh_common.crystal.description import Range, describe_properties, describe_target
from crystalmesh_common.runtime.errors import InvalidFieldError


def test_known_properties() -> None:
    """What is known is told in one order with the decimals that tell materials apart, the rest left out."""
    known = {
        "energy_above_hull_ev_per_atom": -0.0001,
        "band_gap_ev": 1.7842,
        "formation_energy_ev_per_atom": -3.552,
    }
    assert describe_properties(known, formula="SrTiO3", space_group_number=221) == (
        "SrTiO3; space group 221; formation energy -3.552 eV/atom; band gap 1.784 eV;"
        " energy above hull 0.000 eV/atom"
    )
    assert describe_properties({"bulk_modulus_gpa": 171.6}) == "bulk modulus 172 GPa"
    assert describe_properties({}) == ""


def test_every_property_of_the_api_has_words() -> None:
    """There is a phrase for each property that a target can name."""
    _, *names = [value.name for value in Property.DESCRIPTOR.values]
    for name in names:
        assert describe_properties({name.removeprefix("PROPERTY_").lower(): 1.0})
    with pytest.raises(ValueError, match="no such property: colour"):
        describe_properties({"colour": 1.0})


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Range(1, 2.5), "band gap 1.000 to 2.500 eV"),
        (Range(min=1), "band gap at least 1.000 eV"),
        (Range(max=0), "band gap at most 0.000 eV"),
        (Range(1.5, 1.5), "band gap 1.500 eV"),
    ],
)
def test_ranges(wanted: Range, text: str) -> None:
    """A range is told by its bounds, one that is a point as a value."""
    assert describe_properties({"band_gap_ev": wanted}) == text


def test_target() -> None:
    """A target reads like a material, with its elements, and equal targets read the same."""
    target = Target(
        formula="TiO3Sr",
        properties=[
            PropertyRange(property=Property.PROPERTY_BAND_GAP_EV, min=1.5, max=1.5),
            PropertyRange(property=Property.PROPERTY_FORMATION_ENERGY_EV_PER_ATOM, max=-1),
        ],
        space_group_number=221,
        free_text="  stable\nin water ",
    )
    line = "space group 221; formation energy at most -1.000 eV/atom; band gap 1.500 eV; stable in water"
    assert describe_target(target) == f"SrTiO3; {line}"
    assert describe_target(target, formula=False) == line


def test_elements_of_a_target() -> None:
    """Elements are listed by atomic number; required ones are among the allowed ones."""
    target = Target(
        required_elements=[8, 3], allowed_elements=[26, 8], forbidden_elements=[82], chemical_system="Li-O"
    )
    assert describe_target(target) == "elements Li-O; with Li, O; made of Li, O, Fe; without Pb"
    assert describe_target(Target(crystal_system=CrystalSystem.CRYSTAL_SYSTEM_CUBIC)) == "cubic"
    assert describe_target(Target()) == ""


def test_no_formula() -> None:
    """A formula that is none is refused, unless it is to be left out."""
    with pytest.raises(InvalidFieldError, match="is no chemical formula"):
        describe_target(Target(formula="salt"))
    assert describe_target(Target(formula="salt"), formula=False) == ""
