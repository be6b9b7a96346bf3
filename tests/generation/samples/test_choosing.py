from __future__ import annotations

from dataclasses import replace

from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.samples.choosing import best_of
from crystalmesh_generation.samples.judging import judge
from crystalmesh_generation.samples.proposals import Origin, Proposal, SubstitutedBy
from tests.conftest import silicon, sodium_chloride
from tests.property.crystals import rock_salt

HULL = "energy_above_hull_ev_per_atom"


def proposal(crystal: Crystal, hull: float | None = None, aim: Aim | None = None) -> Proposal:
    origin = Origin(SubstitutedBy((), "", 0.0), "", 0)
    values = {} if hull is None else {HULL: hull}
    return Proposal(crystal, "", origin, judge(crystal, aim or Aim()), values)


def test_possible_crystals_come_first() -> None:
    """However low the energy of an impossible one is said to be."""
    crushed = proposal(sodium_chloride(a=0.6), 0.0)
    whole = proposal(sodium_chloride(), 0.9)
    assert best_of([crushed, whole], ()) is whole


def test_the_target_comes_before_energies() -> None:
    """A crystal that misses part of the target gives way to one that does not."""
    aim = Aim(space_group_number=227)
    off, met = proposal(sodium_chloride(), 0.0, aim), proposal(silicon(), 0.3, aim)
    assert best_of([off, met], ()) is met


def test_new_formulas_come_before_known_ones() -> None:
    """And among those that are new, or known, the lowest energy above the hull."""
    known, new = proposal(rock_salt(0), 0.0), proposal(rock_salt(1), 0.1)
    better = proposal(rock_salt(2), 0.05)
    held = {reduced_composition(known.crystal)}
    assert best_of([known, new, better], held) is better
    assert best_of([known, new], ()) is known
    assert best_of([known, new], (), held) is new, "what the caller has enough of is known, too"


def test_a_screen_is_heard_before_the_regression_head() -> None:
    """Where both have something to say."""
    first, second = proposal(rock_salt(0), 0.0), proposal(rock_salt(1), 0.3)
    screened = [replace(first, hull_ev_per_atom=0.2), replace(second, hull_ev_per_atom=0.1)]
    assert best_of(screened, ()) is screened[1]


def test_energies_of_two_kinds_are_not_compared() -> None:
    """However low an energy of formation, a distance from the hull says more."""
    told, screened = proposal(rock_salt(0)), proposal(rock_salt(1))
    told = replace(told, values={"formation_energy_ev_per_atom": -3.0})
    assert best_of([told, replace(screened, hull_ev_per_atom=0.2)], ()).hull_ev_per_atom == 0.2
    assert best_of([screened, told], ()) is told


def test_of_equal_ones_the_first_is_kept() -> None:
    """Without values, too."""
    first, second = proposal(rock_salt(0)), proposal(rock_salt(1))
    assert best_of([first, second], ()) is first
