"""Targets as checks on crystals and values."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.crystal.v1.crystal_pb2 import CrystalSystem
from crystalmesh.crystal.v1.property_pb2 import Property, PropertyValue, SourceKind
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh.stability.v1.hull_pb2 import HullDistance
from crystalmesh_agent.campaigns.wishes import Wishes, geometry_values, merits
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from tests.conftest import block, iron, silicon, sodium_chloride

LITHIUM, OXYGEN, SODIUM, CHLORINE, POTASSIUM = 3, 8, 11, 17, 19
GAP, HULL = Property.PROPERTY_BAND_GAP_EV, Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM
SHEAR, BULK = Property.PROPERTY_SHEAR_MODULUS_GPA, Property.PROPERTY_BULK_MODULUS_GPA
DENSITY, ATOMS = Property.PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER, Property.PROPERTY_ATOMS_IN_CELL
ON_HULL = PropertyValue(property=HULL, value=0.0)


def within(wanted: Property.ValueType, low: float | None = None, high: float | None = None) -> PropertyRange:
    return PropertyRange(property=wanted, min=low, max=high)


def is_known(of: Property.ValueType, value: float, uncertainty: float | None = None) -> PropertyValue:
    return PropertyValue(property=of, value=value, uncertainty=uncertainty)


def gap_of_2_to_4() -> Wishes:
    return Wishes(Target(properties=[within(GAP, 2, 4)]))


@pytest.mark.parametrize(
    ("target", "misses"),
    [
        (Target(), []),
        (Target(formula="Na2Cl2", chemical_system="Na-Cl", required_elements=[SODIUM]), []),
        (Target(required_elements=[SODIUM], allowed_elements=[CHLORINE]), []),
        (Target(formula="Na2O"), ["formula NaCl, asked for Na2O"]),
        (Target(formula="NaCl3"), ["formula NaCl, asked for NaCl3"]),
        (Target(chemical_system="K-Cl"), ["elements Cl-Na, asked for Cl-K"]),
        (Target(required_elements=[SODIUM, OXYGEN, LITHIUM]), ["NaCl has no Li, O, asked for Li, O, Na"]),
        (Target(allowed_elements=[SODIUM, OXYGEN]), ["NaCl has Cl, allowed is only O, Na"]),
        (Target(forbidden_elements=[CHLORINE, POTASSIUM]), ["NaCl has Cl, which is forbidden"]),
        (
            Target(required_elements=[OXYGEN], forbidden_elements=[SODIUM]),
            ["NaCl has no O, asked for O", "NaCl has Na, which is forbidden"],
        ),
    ],
)
def test_compositions_miss_in_words(target: Target, misses: list[str]) -> None:
    """Each part of a target that rock salt misses is a sentence with what it is and what was asked."""
    wishes = Wishes(target)
    assert wishes.composition_misses(sodium_chloride()) == misses
    assert wishes.composition_misses(block(repeat=2)) == misses
    fit = wishes.fit(sodium_chloride(), [ON_HULL])
    assert list(fit.misses) == misses
    assert fit.fulfilled == (not misses)
    assert (fit.score == 0) == bool(misses)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.3, "band gap 0.3 eV, asked for 2 to 4"),
        (1.9999, "band gap 1.9999 eV, asked for 2 to 4"),
        (2 - 1e-9, "band gap 1.999999999 eV, asked for 2 to 4"),
        (7.25, "band gap 7.25 eV, asked for 2 to 4"),
        (-0.0, "band gap 0 eV, asked for 2 to 4"),
    ],
)
def test_a_value_outside_is_told_so_that_it_is_outside(value: float, words: str) -> None:
    """A value is rounded as long as it stays outside of what was asked."""
    fit = gap_of_2_to_4().fit(sodium_chloride(), [is_known(GAP, value), ON_HULL])
    assert list(fit.misses) == [words]
    assert not fit.fulfilled
    assert fit.score < 0.5


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (within(SHEAR, 80), "shear modulus 20 GPa, asked for at least 80"),
        (within(SHEAR, None, 10), "shear modulus 20 GPa, asked for at most 10"),
        (within(SHEAR, 10, 10), "shear modulus 20 GPa, asked for 10"),
    ],
)
def test_open_and_exact_ranges_are_told(asked: PropertyRange, words: str) -> None:
    """Ranges with one bound, or with no width, are told as such."""
    fit = Wishes(Target(properties=[asked])).fit(silicon(), [is_known(SHEAR, 20.0), ON_HULL])
    assert list(fit.misses) == [words]


def test_nothing_is_below_zero() -> None:
    """A range from 0 on holds for what a model puts a little below it; its miss is told with what is left."""
    wishes = Wishes(Target(properties=[within(GAP, 0, 1)]))
    assert wishes.fit(silicon(), [is_known(GAP, -0.01), ON_HULL]).fulfilled
    assert list(wishes.fit(silicon(), [is_known(GAP, 1.5), ON_HULL]).misses) == [
        "band gap 1.5 eV, asked for at most 1"
    ]
    cold = Wishes(Target(properties=[within(Property.PROPERTY_FORMATION_ENERGY_EV_PER_ATOM, -1, 0)]))
    below = is_known(Property.PROPERTY_FORMATION_ENERGY_EV_PER_ATOM, -1.5)
    assert not cold.fit(silicon(), [below, ON_HULL]).fulfilled


@pytest.mark.parametrize("values", [[], [is_known(SHEAR, math.nan)], [is_known(BULK, 90)]])
def test_what_is_not_known_is_missed(values: list[PropertyValue]) -> None:
    """A wish for a property without a finite value does not hold, and the score says so."""
    wishes = Wishes(Target(properties=[within(SHEAR, 50)]))
    fit = wishes.fit(silicon(), [*values, ON_HULL])
    assert list(fit.misses) == ["shear modulus: not known"]
    assert wishes.screening_misses(values) == []
    hardly = wishes.fit(silicon(), [is_known(SHEAR, 10, 5.0), ON_HULL])
    assert hardly.score < fit.score < 0.5


def test_bounds_are_inside() -> None:
    """A value on its bound fulfils the wish."""
    for value in (2.0, 4.0):
        assert gap_of_2_to_4().fit(silicon(), [is_known(GAP, value), ON_HULL]).fulfilled


def test_stability_is_asked_for_by_itself() -> None:
    """Without a range of the hull distance at most 0.1 eV/atom is asked for; with one, what it says."""
    wishes = Wishes(Target(formula="Si"))
    assert wishes.max_energy_above_hull_ev_per_atom == 0.1
    assert list(wishes.fit(silicon(), [is_known(HULL, 0.152)]).misses) == [
        "energy above hull 0.152 eV/atom, asked for at most 0.1"
    ]
    assert list(wishes.fit(silicon(), []).misses) == ["energy above hull: not known"]
    strict = Wishes(Target(properties=[within(HULL, None, -0.01)]))
    assert strict.max_energy_above_hull_ev_per_atom == -0.01
    assert not strict.fit(silicon(), [ON_HULL]).fulfilled
    metastable = Wishes(Target(properties=[within(HULL, 0.05)]))
    assert metastable.max_energy_above_hull_ev_per_atom == math.inf
    assert not metastable.fit(silicon(), [ON_HULL]).fulfilled
    assert metastable.fit(silicon(), [is_known(HULL, 0.2)]).fulfilled


def test_below_the_hull_is_stable() -> None:
    """A range from 0 on means stable crystals, and those below the hull are."""
    wishes = Wishes(Target(properties=[within(HULL, 0, 0.1)]))
    assert wishes.fit(silicon(), [is_known(HULL, -0.03)]).fulfilled


@pytest.mark.parametrize(
    ("target", "misses"),
    [
        (Target(space_group_number=227), []),
        (Target(crystal_system=CrystalSystem.CRYSTAL_SYSTEM_CUBIC), []),
        (Target(space_group_number=225), ["space group 227, asked for 225"]),
        (
            Target(crystal_system=CrystalSystem.CRYSTAL_SYSTEM_HEXAGONAL),
            ["cubic, space group 227, asked for hexagonal"],
        ),
    ],
)
def test_symmetry_is_found_within_a_tenth_of_an_angstrom(target: Target, misses: list[str]) -> None:
    """Silicon with an atom a little off its site still has its space group."""
    fit = Wishes(target).fit(silicon(shift=0.005), [ON_HULL])
    assert list(fit.misses) == misses
    assert 0 < fit.score <= 1


def test_what_has_no_symmetry_is_triclinic() -> None:
    """Atoms closer than the tolerance make no error."""
    clash = Crystal(4 * np.eye(3), np.array([14, 14]), np.array([[0, 0, 0], [0, 0, 0.001]]))
    fit = Wishes(Target(space_group_number=227)).fit(clash, [ON_HULL])
    assert not fit.fulfilled
    assert "asked for 227" in fit.misses[0]


def test_density_and_atoms_follow_from_the_crystal() -> None:
    """They are known without values, counted in the primitive cell, and no value says otherwise."""
    wishes = Wishes(Target(properties=[within(DENSITY, 2.0, 2.3), within(ATOMS, None, 2)]))
    assert wishes.fit(block(repeat=2), [ON_HULL, is_known(DENSITY, 9.0), is_known(ATOMS, 16)]).fulfilled
    fit = wishes.fit(iron(), [ON_HULL])
    assert list(fit.misses) == ["density 8.1 g/cm³, asked for 2 to 2.3"]
    few = Wishes(Target(properties=[within(ATOMS, 3)]))
    assert list(few.fit(silicon(), [ON_HULL]).misses) == [
        "atoms in the primitive cell 2, asked for at least 3"
    ]
    told = {value.property: value for value in geometry_values(silicon())}
    assert told[DENSITY].value == pytest.approx(2.279, abs=0.01)
    assert (told[DENSITY].unit, told[DENSITY].source.kind) == ("g/cm³", SourceKind.SOURCE_KIND_GEOMETRY)
    assert told[ATOMS].value == 2


def test_the_surest_comes_first() -> None:
    """What fulfils a target is at 0.5 or more, the surest first; what misses it is below, the near first."""
    wishes = gap_of_2_to_4()

    def score(gap: float, sigma: float | None = None, hull: float = 0.0) -> float:
        return wishes.fit(silicon(), [is_known(GAP, gap, sigma), is_known(HULL, hull)]).score

    by_worth = [
        score(3.0, 0.1),
        score(3.0, 0.5),
        score(2.1, 0.5),
        score(2.1, 0.5, hull=0.09),
        score(1.9, 0.5),
        score(1.5, 0.5),
        score(0.0, 0.5),
    ]
    assert by_worth == sorted(by_worth, reverse=True)
    assert len(set(by_worth)) == len(by_worth)
    assert by_worth[3] > 0.5 > by_worth[4]
    assert score(3.0, 0.0, hull=-0.29) == 1.0


def test_far_below_the_hull_is_no_hit() -> None:
    """What nothing competes with has no rival in the reference; nobody knows whether it is stable."""
    fit = gap_of_2_to_4().fit(silicon(), [is_known(GAP, 3.0), is_known(HULL, -0.61)])
    assert (fit.fulfilled, fit.score < 0.1) == (False, True)
    assert fit.misses == ["0.61 eV/atom below the hull: the reference lacks what competes"]


def test_the_probability_is_that_of_a_normal_distribution() -> None:
    """One standard deviation on either side of the value holds 68.27 % of it."""
    fit = gap_of_2_to_4().fit(silicon(), [is_known(GAP, 3, 1.0), is_known(HULL, 0.0, 1e-9)])
    assert fit.score == pytest.approx(0.5 + 0.5 * 0.682689, abs=1e-6)


def test_metals_can_be_asked_for() -> None:
    """Of a gap that is predicted as 0 one half is below: a range without width at 0 is not hopeless."""
    wishes = Wishes(Target(properties=[within(GAP, 0, 0)]))
    fit = wishes.fit(iron(), [is_known(GAP, 0.0, 0.2), ON_HULL])
    assert fit.fulfilled
    assert fit.score > 0.7


@pytest.mark.parametrize(
    ("of", "value", "sigma", "is_hopeless"),
    [
        (GAP, 3.0, 0.1, False),
        (GAP, 1.4, 0.1, False),  # relaxation may open it
        (GAP, 1.2, 0.1, True),
        (GAP, 0.0, 1.0, False),  # who knows
        (GAP, 0.0, 0.1, True),
        (GAP, 5.0, 0.1, True),
        (GAP, 1.2, None, False),
        (HULL, 0.35, 0.01, False),
        (HULL, 0.45, 0.01, True),
        (HULL, -1.0, 0.01, False),
        (BULK, 60.0, 5.0, False),
        (BULK, 30.0, 5.0, True),
        (BULK, math.inf, 5.0, False),
    ],
)
def test_screening_drops_the_hopeless_only(
    of: Property.ValueType,
    value: float,
    sigma: float | None,
    *,
    is_hopeless: bool,
) -> None:
    """Before relaxation a value must miss by two standard deviations and what relaxation may change."""
    wishes = Wishes(Target(properties=[within(GAP, 2, 4), within(BULK, 80)]))
    misses = wishes.screening_misses([is_known(of, value, sigma)])
    assert bool(misses) == is_hopeless
    if is_hopeless:
        assert "asked for" in misses[0]
        assert misses[0].endswith("(before relaxation)")


def test_hopeless_is_told_with_its_uncertainty() -> None:
    """The sentence has value, uncertainty and range."""
    assert gap_of_2_to_4().screening_misses([is_known(GAP, 0.3, 0.25)]) == [
        "band gap 0.3 ± 0.25 eV, asked for 2 to 4 (before relaxation)"
    ]


def candidate(crystal: Crystal, values: Mapping[Property.ValueType, float]) -> CampaignCandidate:
    evidence = CampaignCandidate(properties=[is_known(of, value) for of, value in values.items()])
    evidence.relaxation.crystal.CopyFrom(crystal_to_proto(crystal))
    return evidence


def test_merits_are_one_per_wish() -> None:
    """Each range, stability and symmetry have a merit; what fulfils a wish has the larger one."""
    target = Target(properties=[within(GAP, 2, 4), within(SHEAR, 50)], space_group_number=227)
    spec = CampaignSpec(target=target)
    good = merits(spec, candidate(silicon(), {GAP: 3, SHEAR: 90, HULL: 0.01}))
    poor = merits(spec, candidate(sodium_chloride(), {GAP: 1, SHEAR: 40, HULL: 0.05}))
    nothing = merits(spec, CampaignCandidate())
    assert len(good) == len(poor) == len(nothing) == 4
    assert all(better > worse for better, worse in zip(good, poor, strict=True))
    assert all(better > worse for better, worse in zip(poor[:3], nothing[:3], strict=True))
    assert (good[2], poor[3]) == (-0.01, 0.0)


def test_stability_is_known_from_the_hull_alone() -> None:
    """A hull distance counts where no value was written; a written value comes first."""
    spec = CampaignSpec(target=Target(formula="Si"))
    scored = CampaignCandidate(hull_distance=HullDistance(energy_above_hull_ev_per_atom=0.04))
    assert merits(spec, scored) == (-0.04,)
    scored.properties.append(is_known(HULL, 0.02))
    assert merits(spec, scored) == (-0.02,)


def test_whoever_wants_metastable_crystals_gets_no_merit_for_stable_ones() -> None:
    """With a least distance from the hull, stability is a range like others."""
    spec = CampaignSpec(target=Target(properties=[within(HULL, 0.05, 0.2)]))
    (stable,), (wanted,) = (merits(spec, candidate(silicon(), {HULL: distance})) for distance in (0.0, 0.1))
    assert stable < 0 < wanted


ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PROPERTIES = [number for number in Property.values() if number]


@st.composite
def ranges(draw: st.DrawFn) -> list[PropertyRange]:
    chosen = draw(st.lists(st.sampled_from(PROPERTIES), unique=True, max_size=4))
    bounds = []
    for of in chosen:
        low, high = sorted((draw(FINITE), draw(FINITE)))
        bounds.append(draw(st.sampled_from([within(of, low, high), within(of, low), within(of, None, high)])))
    return bounds


@given(
    ranges(),
    st.lists(st.tuples(st.sampled_from([*PROPERTIES, 99]), ANY_NUMBER, st.none() | ANY_NUMBER), max_size=6),
)
def test_any_values_have_a_score_and_merits(
    wanted: list[PropertyRange], values: list[tuple[Property.ValueType, float, float | None]]
) -> None:
    """Whatever services say, scores are in [0, 1], split at 0.5, and merits finite and as many as wishes."""
    target = Target(properties=wanted)
    messages = [is_known(*value) for value in values]
    wishes = Wishes(target)
    fit = wishes.fit(silicon(), messages)
    assert 0 <= fit.score <= 1
    assert fit.fulfilled == (not fit.misses) == (fit.score >= 0.5)
    found = wishes.merits(silicon(), messages)
    assert len(found) == len({bounds.property for bounds in wanted} | {HULL})
    assert all(map(math.isfinite, found))
    assert fit == wishes.fit(silicon(), messages)
    wishes.screening_misses(messages)
