from __future__ import annotations

from dataclasses import replace

from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.samples.choosing import best_of, contenders, screened_for
from crystalmesh_generation.samples.judging import judge
from crystalmesh_generation.samples.proposals import Origin, Proposal, SubstitutedBy
from tests.conftest import silicon, sodium_chloride
from tests.property.crystals import rock_salt

HULL, GAP, BULK = "energy_above_hull_ev_per_atom", "band_gap_ev", "bulk_modulus_gpa"


def proposal(crystal: Crystal, hull: float | None = None, aim: Aim | None = None) -> Proposal:
    origin = Origin(SubstitutedBy((), "", 0.0), "", 0)
    values = {} if hull is None else {HULL: hull}
    return Proposal(crystal, "", origin, judge(crystal, aim or Aim()), values)


def test_possible_crystals_come_first() -> None:
    """However low the energy of an impossible one is said to be."""
    crushed = proposal(sodium_chloride(a=0.6), 0.0)
    whole = proposal(sodium_chloride(), 0.9)
    assert best_of([crushed, whole], {}, ()) is whole


def test_the_target_comes_before_energies() -> None:
    """A crystal that misses part of the target gives way to one that does not."""
    aim = Aim(space_group_number=227)
    off, met = proposal(sodium_chloride(), 0.0, aim), proposal(silicon(), 0.3, aim)
    assert best_of([off, met], {}, ()) is met


def test_ranges_of_the_target_come_before_energies() -> None:
    """A crystal that a screen tells to be within them is kept, however high it is."""
    off = replace(proposal(rock_salt(0)), screened={HULL: 0.0, GAP: 0.5})
    met = replace(proposal(rock_salt(1)), screened={HULL: 0.2, GAP: 2.5})
    assert best_of([off, met], {GAP: Range(2.0, 4.0)}) is met
    assert best_of([off, met], {GAP: Range(max=4.0)}) is off
    assert best_of([off, met], {}) is off


def test_new_formulas_come_before_ranges() -> None:
    """Known materials lie within them the more often, and nobody asks for these."""
    new = replace(proposal(rock_salt(0)), screened={HULL: 0.0, GAP: 0.5})
    known = replace(proposal(rock_salt(1)), screened={HULL: 0.0, GAP: 2.5})
    assert best_of([new, known], {GAP: Range(2.0, 4.0)}, {reduced_composition(known.crystal)}) is new


def test_what_the_crystal_shows_comes_before_what_a_screen_tells() -> None:
    """A wrong symmetry is seen, a missed range only predicted."""
    aim = Aim(space_group_number=227, ranges={GAP: Range(2.0, 4.0)})
    other_group = replace(proposal(rock_salt(0), aim=aim), screened={GAP: 3.0})
    no_gap = replace(proposal(silicon(), aim=aim), screened={GAP: 0.0})
    assert best_of([other_group, no_gap], aim.ranges) is no_gap


def test_of_those_that_miss_as_much_the_closest_is_kept() -> None:
    """In spreads of each property: ten gigapascals are less than half an electronvolt."""
    ranges = {GAP: Range(2.0, 4.0), BULK: Range(min=100.0)}
    first, second = proposal(rock_salt(0)), proposal(rock_salt(1))
    far, near = ({GAP: 0.1, HULL: 0.0}, {GAP: 1.9, HULL: 0.1})
    assert best_of([replace(first, screened=far), replace(second, screened=near)], ranges).screened is near
    gap, bulk = {GAP: 4.5, BULK: 100.0}, {GAP: 4.0, BULK: 90.0}
    assert best_of([replace(first, screened=gap), replace(second, screened=bulk)], ranges).screened is bulk


def test_what_a_screen_cannot_tell_is_no_miss() -> None:
    """A proposal that it says nothing of comes before one that misses a range, and only before that."""
    ranges = {GAP: Range(2.0, 4.0)}
    silent = proposal(rock_salt(0))
    off = replace(proposal(rock_salt(1)), screened={HULL: 0.0, GAP: 0.0})
    met = replace(proposal(rock_salt(2)), screened={HULL: 0.3, GAP: 3.0})
    assert best_of([off, silent], ranges) is silent
    assert best_of([silent, met], ranges) is met


def test_a_range_of_the_energy_above_the_hull_is_no_miss() -> None:
    """It counts through the energy alone, after new formulas."""
    high = replace(proposal(rock_salt(0)), screened={HULL: 0.3})
    low = replace(proposal(rock_salt(1)), screened={HULL: 0.0})
    ranges = {HULL: Range(max=0.1)}
    assert best_of([high, low], ranges) is low
    assert best_of([high, low], ranges, {reduced_composition(low.crystal)}) is high


def test_screens_are_asked_for_what_decides() -> None:
    """The energy always, other properties where the target bounds them and networks may know them."""
    ranges = {GAP: Range(min=2.0), "atoms_in_cell": Range(max=8), HULL: Range(max=0.1)}
    assert screened_for({}) == {HULL}
    assert screened_for(ranges) == {HULL, GAP}


def test_new_formulas_come_before_known_ones() -> None:
    """And among those that are new, or known, the lowest energy above the hull."""
    known, new = proposal(rock_salt(0), 0.0), proposal(rock_salt(1), 0.1)
    better = proposal(rock_salt(2), 0.05)
    held = {reduced_composition(known.crystal)}
    assert best_of([known, new, better], {}, held) is better
    assert best_of([known, new], {}, ()) is known
    assert best_of([known, new], {}, (), held) is new, "what the caller has enough of is known, too"


def test_only_what_values_decide_goes_to_a_screen() -> None:
    """Whoever misses more, or is known, cannot win; those that are left are all that could."""
    aim = Aim(space_group_number=225)
    off, known = proposal(silicon(), aim=aim), proposal(rock_salt(0), aim=aim)
    first, second = proposal(rock_salt(1), aim=aim), proposal(rock_salt(2), aim=aim)
    formulas = {reduced_composition(known.crystal)}
    assert contenders([off, known, first, second], (), formulas) == [first, second]
    assert contenders([off, known], formulas) == [known]
    assert contenders([off, off]) == [off, off]


def test_a_screen_is_heard_before_the_regression_head() -> None:
    """Where both have something to say."""
    first, second = proposal(rock_salt(0), 0.0), proposal(rock_salt(1), 0.3)
    screened = [replace(first, screened={HULL: 0.2}), replace(second, screened={HULL: 0.1})]
    assert best_of(screened, {}, ()) is screened[1]


def test_energies_of_two_kinds_are_not_compared() -> None:
    """However low an energy of formation, a distance from the hull says more."""
    told, screened = proposal(rock_salt(0)), proposal(rock_salt(1))
    told = replace(told, values={"formation_energy_ev_per_atom": -3.0})
    assert best_of([told, replace(screened, screened={HULL: 0.2})], {}, ()).screened == {HULL: 0.2}
    assert best_of([screened, told], {}, ()) is told


def test_of_equal_ones_the_first_is_kept() -> None:
    """Without values, too."""
    first, second = proposal(rock_salt(0)), proposal(rock_salt(1))
    assert best_of([first, second], {}, ()) is first
