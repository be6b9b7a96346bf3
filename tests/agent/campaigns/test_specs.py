"""Specs of campaigns: what is refused, and what is filled in."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh.agent.v1.campaign_pb2 import CampaignBudget, CampaignModels, CampaignSpec
from crystalmesh.crystal.v1.crystal_pb2 import CrystalSystem
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.campaigns.specs import completed
from crystalmesh_agent.campaigns.wishes import Wishes
from crystalmesh_common.runtime.errors import InvalidRequestError

LITHIUM, OXYGEN, IRON, XENON, LEAD = 3, 8, 26, 54, 82
GAP, HULL = Property.PROPERTY_BAND_GAP_EV, Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM
ATOMS, DENSITY = Property.PROPERTY_ATOMS_IN_CELL, Property.PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER
WRITTEN, SUBSTITUTED = Generator.GENERATOR_LANGUAGE_MODEL, Generator.GENERATOR_IONIC_SUBSTITUTION
NONE_SUCH: Any = 99
"""Not a value of any enum."""
STABLE = PropertyRange(property=HULL, max=0.1)


def within(wanted: Property.ValueType, low: float | None = None, high: float | None = None) -> PropertyRange:
    return PropertyRange(property=wanted, min=low, max=high)


def spec(target: Target | None = None, **fields: Any) -> CampaignSpec:
    return CampaignSpec(target=target or Target(formula="LiFePO4"), **fields)


def test_defaults_are_those_of_the_api() -> None:
    """What the caller leaves open is filled in as the proto says, and what needs a service stays open."""
    whole = completed(CampaignSpec(target=Target(chemical_system="Li-O", properties=[within(GAP, 2, 4)])))
    assert whole == CampaignSpec(
        display_name="Li-O, band gap 2 to 4 eV",
        target=Target(chemical_system="Li-O", properties=[within(GAP, 2, 4), STABLE]),
        hits_wanted=10,
        budget=CampaignBudget(
            max_candidates=10_000, max_wall_time=Duration(seconds=3600), max_planner_tokens=1_000_000
        ),
        max_rounds_without_progress=10,
        planner="bandit",
    )
    assert not whole.HasField("models")
    assert not whole.budget.HasField("max_evaluations")


def test_what_the_caller_set_stays() -> None:
    """A spec with everything set comes back as it is."""
    asked = CampaignSpec(
        display_name="My lithium oxides",
        target=Target(
            properties=[within(HULL, None, 0.02), within(GAP, 1)],
            required_elements=[OXYGEN],
            space_group_number=225,
            free_text="for a battery",
        ),
        hits_wanted=10_000,
        budget=CampaignBudget(
            max_candidates=0, max_wall_time=Duration(), max_evaluations=0, max_planner_tokens=0
        ),
        max_rounds_without_progress=1_000,
        catalog="starter",
        reference="mp",
        generators=[SUBSTITUTED, WRITTEN],
        planner="thinker",
        models=CampaignModels(generation="a", property="b", potential="c"),
        seed=2**64 - 1,
        skip_retrieval=True,
        skip_transition=True,
    )
    assert completed(asked) == asked


def test_the_given_spec_is_left_alone() -> None:
    """Completing makes a new message."""
    asked = spec(Target(free_text="a lithium oxide"), generators=[WRITTEN, WRITTEN])
    before = CampaignSpec.FromString(asked.SerializeToString())
    assert completed(asked) != asked
    assert asked == before


def test_generators_are_named_once() -> None:
    """Of doubles the first stays."""
    assert list(completed(spec(generators=[SUBSTITUTED, WRITTEN, SUBSTITUTED])).generators) == [
        SUBSTITUTED,
        WRITTEN,
    ]


@pytest.mark.parametrize(
    ("target", "reason", "field"),
    [
        (None, "INVALID_FIELD", "target"),
        (Target(), "INVALID_FIELD", "target"),
        (Target(free_text=" \n\t "), "INVALID_FIELD", "target"),
        (Target(crystal_system=CrystalSystem.CRYSTAL_SYSTEM_UNSPECIFIED), "INVALID_FIELD", "target"),
        (Target(free_text="x" * 4001), "INVALID_FIELD", "target.free_text"),
        (Target(required_elements=[0]), "INVALID_FIELD", "target.required_elements"),
        (Target(allowed_elements=[119]), "INVALID_FIELD", "target.allowed_elements"),
        (Target(forbidden_elements=[4_000_000_000]), "INVALID_FIELD", "target.forbidden_elements"),
        (Target(formula="hello world"), "INVALID_FIELD", "target.formula"),
        (Target(formula="Xx2O"), "INVALID_FIELD", "target.formula"),
        (Target(formula="Li" * 5000), "INVALID_FIELD", "target.formula"),
        (Target(chemical_system="Li-Xx"), "INVALID_FIELD", "target.chemical_system"),
        (Target(chemical_system="Li, O"), "INVALID_FIELD", "target.chemical_system"),
        (Target(space_group_number=0), "INVALID_FIELD", "target.space_group_number"),
        (Target(space_group_number=231), "INVALID_FIELD", "target.space_group_number"),
        (Target(crystal_system=NONE_SUCH), "UNKNOWN_ENUM_VALUE", "target.crystal_system"),
        (Target(formula="LiFePO4", forbidden_elements=[LITHIUM]), "CONTRADICTORY_TARGET", "target.formula"),
        (Target(formula="Li2O", chemical_system="Li-Fe"), "CONTRADICTORY_TARGET", "target.formula"),
        (
            Target(formula="Li2O", required_elements=[IRON]),
            "CONTRADICTORY_TARGET",
            "target.required_elements",
        ),
        (Target(formula="Li2O", allowed_elements=[LITHIUM]), "CONTRADICTORY_TARGET", "target.formula"),
        (
            Target(required_elements=[OXYGEN], forbidden_elements=[OXYGEN]),
            "CONTRADICTORY_TARGET",
            "target.required_elements",
        ),
        (
            Target(allowed_elements=[OXYGEN], forbidden_elements=[OXYGEN]),
            "CONTRADICTORY_TARGET",
            "target.allowed_elements",
        ),
        (
            Target(chemical_system="Li-O", forbidden_elements=[OXYGEN]),
            "CONTRADICTORY_TARGET",
            "target.chemical_system",
        ),
        (
            Target(required_elements=[LITHIUM, OXYGEN, IRON], properties=[within(ATOMS, None, 2)]),
            "CONTRADICTORY_TARGET",
            "target.required_elements",
        ),
    ],
)
def test_targets_that_cannot_be_meant_are_refused(target: Target | None, reason: str, field: str) -> None:
    """With the reason and the field that is wrong."""
    with pytest.raises(InvalidRequestError) as refusal:
        completed(CampaignSpec(target=target))
    assert (refusal.value.reason, refusal.value.details["field"]) == (reason, field)


@pytest.mark.parametrize(
    ("ranges", "reason"),
    [
        ([within(GAP)], "INVALID_FIELD"),
        ([within(GAP, 3, 2)], "INVALID_FIELD"),
        ([within(GAP, math.nan)], "INVALID_FIELD"),
        ([within(GAP, None, math.nan)], "INVALID_FIELD"),
        ([within(GAP, 1, math.inf)], "INVALID_FIELD"),
        ([within(GAP, -math.inf, 1)], "INVALID_FIELD"),
        ([within(GAP, 1, 2), within(GAP, 1, 2)], "INVALID_FIELD"),
        ([within(Property.PROPERTY_UNSPECIFIED, 1)], "UNKNOWN_ENUM_VALUE"),
        ([within(NONE_SUCH, 1)], "UNKNOWN_ENUM_VALUE"),
        ([PropertyRange()], "UNKNOWN_ENUM_VALUE"),
    ],
)
def test_ranges_that_are_none_are_refused(ranges: list[PropertyRange], reason: str) -> None:
    """Bounds that are missing, not finite, turned round or doubled, and properties that are none."""
    with pytest.raises(InvalidRequestError) as refusal:
        completed(spec(Target(properties=ranges)))
    assert (refusal.value.reason, refusal.value.details["field"]) == (reason, "target.properties")


@pytest.mark.parametrize(
    "target",
    [
        Target(chemical_system="Xe-O", properties=[within(GAP, 20)]),
        Target(properties=[within(GAP, None, -3)]),
        Target(properties=[within(HULL, -0.2, -0.1)]),
        Target(properties=[within(DENSITY, 1e300)]),
        Target(properties=[within(ATOMS, 1e300)]),
        Target(formula="LiFePO4", properties=[within(ATOMS, 1000)]),
    ],
)
def test_what_nothing_in_the_world_fulfils_may_be_asked_for(target: Target) -> None:
    """Wishes beyond nature are legal, and a campaign for them can be told what misses."""
    whole = completed(spec(target))
    Wishes(whole.target)
    assert whole.display_name


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"display_name": "x" * 201}, "INVALID_FIELD", "display_name"),
        ({"hits_wanted": 10_001}, "INVALID_FIELD", "hits_wanted"),
        ({"max_rounds_without_progress": 1_001}, "INVALID_FIELD", "max_rounds_without_progress"),
        ({"generators": [NONE_SUCH]}, "UNKNOWN_ENUM_VALUE", "generators"),
        ({"generators": [WRITTEN, Generator.GENERATOR_UNSPECIFIED]}, "INVALID_FIELD", "generators"),
        ({"budget": {"max_wall_time": Duration(seconds=-1)}}, "INVALID_FIELD", "budget.max_wall_time"),
        ({"budget": {"max_wall_time": Duration(nanos=-1)}}, "INVALID_FIELD", "budget.max_wall_time"),
        ({"budget": {"max_wall_time": Duration(nanos=10**9)}}, "INVALID_FIELD", "budget.max_wall_time"),
        ({"budget": {"max_wall_time": Duration(seconds=2**62)}}, "INVALID_FIELD", "budget.max_wall_time"),
        ({"catalog": "x" * 201}, "INVALID_FIELD", "catalog"),
        ({"reference": "x" * 201}, "INVALID_FIELD", "reference"),
        ({"planner": "x" * 201}, "INVALID_FIELD", "planner"),
        ({"models": {"potential": "x" * 201}}, "INVALID_FIELD", "models.potential"),
    ],
)
def test_settings_out_of_range_are_refused(fields: dict[str, Any], reason: str, field: str) -> None:
    """With the reason, and the field by its path."""
    with pytest.raises(InvalidRequestError) as refusal:
        completed(spec(**fields))
    assert (refusal.value.reason, refusal.value.details["field"]) == (reason, field)


@pytest.mark.parametrize(
    ("words", "understood"),
    [
        (
            "a lithium oxide with a band gap of 2-4 eV",
            Target(required_elements=[LITHIUM, OXYGEN], properties=[within(GAP, 2, 4), STABLE]),
        ),
        (
            "a stable cubic oxide without lead",
            Target(
                required_elements=[OXYGEN],
                forbidden_elements=[LEAD],
                crystal_system=CrystalSystem.CRYSTAL_SYSTEM_CUBIC,
                properties=[within(HULL, None, 0.025)],
            ),
        ),
        (
            "LiFePO4 in space group 62",
            Target(formula="LiFePO4", space_group_number=62, properties=[STABLE]),
        ),
        (
            "an oxide with a gap of 2 eV",
            Target(required_elements=[OXYGEN], properties=[within(GAP, 1.8, 2.2), STABLE]),
        ),
        ("a metallic oxide", Target(required_elements=[OXYGEN], properties=[within(GAP, 0, 0.1), STABLE])),
        ("something nice for my wife", Target(properties=[STABLE])),
    ],
)
def test_free_text_is_read(words: str, understood: Target) -> None:
    """What rules understand of the words becomes parts of the target, and the words stay."""
    understood.free_text = words
    assert completed(spec(Target(free_text=words))).target == understood


def test_what_the_caller_set_wins_over_the_words() -> None:
    """Words fill what is unset, property by property, and give way where both cannot hold."""
    words = "a stable lithium oxide without iron, cubic, with a band gap of 2 to 4 eV"
    asked = Target(
        chemical_system="Fe-O", space_group_number=62, properties=[within(GAP, 1)], free_text=words
    )
    expected = Target()
    expected.CopyFrom(asked)
    expected.properties.append(within(HULL, None, 0.025))
    assert completed(spec(asked)).target == expected


def test_a_comparison_in_the_words_does_not_narrow_the_elements() -> None:
    """Who set elements and mentions a formula does not look for that formula alone."""
    asked = Target(chemical_system="Fe-Li-O-P", free_text="a cathode better than LiFePO4")
    assert not completed(spec(asked)).target.formula


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target(formula="O4PFeLi"), "LiFePO4"),
        (Target(required_elements=[OXYGEN, LITHIUM, OXYGEN]), "with Li O"),
        (
            Target(allowed_elements=[OXYGEN], required_elements=[LITHIUM], forbidden_elements=[LEAD]),
            "with Li, of Li O, without Pb",
        ),
        (Target(forbidden_elements=range(1, 100)), "without H He Li Be B C N O …"),
        (Target(space_group_number=225), "space group 225"),
        (
            Target(
                crystal_system=CrystalSystem.CRYSTAL_SYSTEM_CUBIC,
                properties=[within(Property.PROPERTY_SHEAR_MODULUS_GPA, 50), within(HULL, None, 0.02)],
            ),
            "cubic, shear modulus at least 50 GPa, energy above hull at most 0.02 eV/atom",
        ),
        (Target(properties=[within(ATOMS, 4, 4)]), "atoms in the primitive cell 4"),
        (Target(free_text="an oxide\nof lithium"), "with Li O"),
        (Target(free_text="something\n nice"), "something nice"),
    ],
)
def test_names_are_made_of_targets(target: Target, name: str) -> None:
    """Elements, symmetry and ranges in a phrase; else the beginning of the words."""
    assert completed(spec(target)).display_name == name


def test_made_up_names_are_short() -> None:
    """A name of long words is cut between words."""
    name = completed(spec(Target(free_text="very " * 700))).display_name
    assert len(name) <= 200
    assert name.endswith("very …")


def test_a_name_is_one_line() -> None:
    """A name of several lines becomes one, and one of blanks is none."""
    assert completed(spec(display_name=" my\ncampaign ")).display_name == "my campaign"
    assert completed(spec(display_name=" \t")).display_name == "LiFePO4"


VOCABULARY = (
    "a stable lithium oxide LiFePO4 O2 without lead iron cubic gap of 2 4 eV at least below between "
    "space group 62 Fm-3m 999 -1 density 3.5 metallic insulator Xx ; and bulk modulus 1e400"
)
WORDS = st.lists(st.sampled_from(sorted(set(VOCABULARY.split()))), max_size=12).map(" ".join)
NUMBERS = st.lists(st.integers(0, 120), max_size=3)


@settings(deadline=None, max_examples=150)
@given(
    words=st.text(max_size=60) | WORDS,
    formula=st.sampled_from(["", "Li2O", "O", "NaCl"]),
    system=st.sampled_from(["", "Li-O", "O", "Fe-Fe"]),
    elements=st.tuples(NUMBERS, NUMBERS, NUMBERS),
    bounds=st.none() | st.tuples(st.integers(0, 9), st.floats(), st.floats()),
)
def test_any_target_is_refused_or_completed_for_good(
    words: str,
    formula: str,
    system: str,
    elements: tuple[list[int], list[int], list[int]],
    bounds: tuple[Any, float, float] | None,
) -> None:
    """What is completed fits the API, can be wished for, and completing it again changes nothing."""
    required, allowed, forbidden = elements
    target = Target(
        free_text=words,
        formula=formula,
        chemical_system=system,
        required_elements=required,
        allowed_elements=allowed,
        forbidden_elements=forbidden,
    )
    if bounds is not None:
        target.properties.add(property=bounds[0], min=bounds[1], max=bounds[2])
    try:
        whole = completed(spec(target))
    except InvalidRequestError:
        return
    assert completed(whole) == whole
    assert 1 <= len(whole.display_name) <= 200
    Wishes(whole.target)
