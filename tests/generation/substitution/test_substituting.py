from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.composition import composition_of
from crystalmesh_common.crystal.composition_limits import CompositionLimits, composition_limits
from crystalmesh_common.crystal.generative_validity import is_compositionally_valid
from crystalmesh_common.crystal.matching import same_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import NoSubstitutionError
from crystalmesh_generation.substitution.substituting import (
    Substituted,
    propose,
    substitute,
    transition_text,
)
from tests.conftest import iron, silicon, sodium_chloride
from tests.generation.substitution.tables import SmallTable

ANYTHING = CompositionLimits()
TABLE = SmallTable()
SODIUM, CHLORINE, POTASSIUM, BROMINE = 11, 17, 19, 35


def perovskite(a_site: int = 56, b_site: int = 22, anion: int = 8) -> Crystal:
    """A cubic ABX3 of five atoms."""
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return Crystal(4.0 * np.eye(3), np.array([a_site, b_site, anion, anion, anion]), sites, "ABX3")


def proposed(
    reference: Crystal, limits: CompositionLimits = ANYTHING, *, seed: int = 0, count: int = 1
) -> list[Substituted]:
    return propose(reference, limits, TABLE, seed=seed, count=count)


def replaced(made: Substituted) -> dict[int, int]:
    return dict(made.substitutions)


def test_a_formula_is_met_by_like_elements_in_like_roles() -> None:
    """KBr comes from NaCl by K for Na and Br for Cl, with the product of their probabilities."""
    [made] = proposed(sodium_chloride(), composition_limits(formula="KBr"))
    assert made.crystal.numbers.tolist() == [POTASSIUM, BROMINE]
    assert made.substitutions == ((SODIUM, POTASSIUM), (CHLORINE, BROMINE))
    assert made.probability == pytest.approx(0.2 * 0.2)


def test_stoichiometry_binds_the_roles_of_a_formula() -> None:
    """An element takes the role with as many atoms as the formula gives it, whatever the probabilities."""
    [made, *_] = proposed(perovskite(), composition_limits(formula="OBa3Ti"), count=5)
    assert composition_of(made.crystal) == ((8, 1), (22, 1), (56, 3))


def test_a_formula_of_unseen_elements_is_still_met() -> None:
    """What the table never saw in a role goes to the most alike element, with probability 0."""
    table = SmallTable(others=0.0)
    [made] = propose(sodium_chloride(), composition_limits(formula="AgO"), table, seed=0, count=1)
    assert replaced(made) == {SODIUM: 47, CHLORINE: 8}
    assert made.probability == 0


def test_the_cell_is_scaled_by_the_volumes_of_atoms() -> None:
    """The volume grows as the atoms' volumes by the table do; shape and sites stay."""
    reference = sodium_chloride()
    crystal = substitute(reference, ((CHLORINE, BROMINE),), TABLE)
    assert crystal.volume / reference.volume == pytest.approx((21 + 45) / (21 + 27))
    np.testing.assert_allclose(crystal.cell / crystal.cell[0, 1], reference.cell / reference.cell[0, 1])
    np.testing.assert_array_equal(crystal.frac_coords, reference.frac_coords)


def test_replacements_happen_at_once() -> None:
    """Two elements may change places."""
    swapped = substitute(perovskite(), ((22, 56), (56, 22)), TABLE)
    assert swapped.numbers.tolist() == [22, 56, 8, 8, 8]


def test_the_reference_is_left_as_it_was() -> None:
    """A proposal shares no array with its reference, and has neither its id nor its moments."""
    reference = iron()
    [made] = proposed(reference)
    made.crystal.frac_coords[:] = 0.25
    assert reference.numbers.tolist() == [26, 26]
    assert reference.frac_coords[0].tolist() == [0, 0, 0]
    assert made.crystal.id == ""
    assert made.crystal.magnetic_moments is None


def test_proposals_differ_from_each_other_and_from_the_reference() -> None:
    """No two of many proposals are one structure, and none is the reference."""
    reference = sodium_chloride()
    crystals = [made.crystal for made in proposed(reference, count=25)]
    assert len(crystals) == 25
    everything = [reference, *crystals]
    for position, crystal in enumerate(everything):
        assert not any(same_structure(crystal, other) for other in everything[position + 1 :])


def test_structures_that_differ_by_names_only_are_one() -> None:
    """In rock salt both roles are alike, so a chemical system has one decoration."""
    assert len(proposed(sodium_chloride(), composition_limits(chemical_system="K-Br"), count=5)) == 1


def test_the_likeliest_decoration_comes_first_and_others_after() -> None:
    """Where all elements are named, proposals come by probability, whatever the seed."""
    limits = composition_limits(formula="SrZrO3")
    for seed in (0, 1, 2):
        first, second = proposed(perovskite(), limits, seed=seed, count=5)
        assert replaced(first) == {56: 38, 22: 40}
        assert replaced(second) == {56: 40, 22: 38}
        assert first.probability > second.probability


def test_the_reference_is_no_answer_to_its_own_formula() -> None:
    """Asked for the formula of rock salt from rock salt there is nothing to replace."""
    with pytest.raises(NoSubstitutionError):
        proposed(sodium_chloride(), composition_limits(formula="NaCl"))


@pytest.mark.parametrize(
    "limits",
    [
        composition_limits(formula="Na2O"),
        composition_limits(formula="BaTiO3"),
        composition_limits(chemical_system="Li-Na-K"),
        composition_limits(chemical_system="Li"),
        composition_limits(required=[3, 8, 16]),
        composition_limits(allowed=[11]),
        composition_limits(min_atoms=3),
        composition_limits(max_atoms=1),
    ],
)
def test_limits_that_no_replacement_keeps_are_said(limits: CompositionLimits) -> None:
    """A reference of other stoichiometry, size or number of elements cannot serve, and the error says why."""
    with pytest.raises(NoSubstitutionError, match=r"asked for|keeps the ratio|required|allowed"):
        proposed(sodium_chloride(), limits)


def test_required_elements_come_and_forbidden_ones_go() -> None:
    """A required element is put where it is likeliest, and a forbidden one is replaced."""
    limits = composition_limits(required=[38], forbidden=[22])
    for made in proposed(perovskite(), limits, count=10):
        assert limits.admits(made.crystal.numbers.tolist())
        assert 22 in replaced(made)
        assert 38 in replaced(made).values()


def test_balanced_references_have_balanced_proposals() -> None:
    """From a charge balanced reference come charge balanced compositions only, where there are any."""
    made = proposed(perovskite(), count=30)
    assert len(made) == 30
    assert all(is_compositionally_valid(each.crystal) for each in made)


def test_an_ionic_compound_becomes_no_alloy() -> None:
    """Metals in place of all anions count as valid by the rules of papers, and are still not proposed."""
    limits = composition_limits(allowed=[SODIUM, CHLORINE, POTASSIUM, 55])
    made = proposed(sodium_chloride(), limits, count=10)
    assert all(CHLORINE in each.crystal.numbers for each in made)


def test_an_unbalanced_formula_is_met_when_it_is_asked_for() -> None:
    """Balance is preferred and not demanded: a formula is a formula."""
    [made] = proposed(sodium_chloride(), composition_limits(formula="BaF"))
    assert not is_compositionally_valid(made.crystal)


def test_the_same_seed_makes_the_same_and_each_can_be_made_alone() -> None:
    """Proposals follow from the seed, and the seed of each makes it again by itself."""
    first, second = (proposed(perovskite(), seed=7, count=8) for _ in range(2))
    assert [made.substitutions for made in first] == [made.substitutions for made in second]
    assert first[0].seed == 7
    assert len({made.seed for made in first}) == 8
    for made in first:
        [alone] = proposed(perovskite(), seed=made.seed)
        assert alone.substitutions == made.substitutions


def test_seeds_lead_to_different_proposals() -> None:
    """One proposal from each of many seeds makes many kinds of crystals."""
    kinds = {proposed(perovskite(), seed=seed)[0].substitutions for seed in range(30)}
    assert len(kinds) > 5


def test_likely_replacements_come_more_often() -> None:
    """Drawn one by one, elements of the same group prevail."""
    drawn = [replaced(proposed(sodium_chloride(), seed=seed)[0]) for seed in range(100)]
    potassium = sum(each.get(SODIUM) == POTASSIUM for each in drawn)
    caesium = sum(each.get(SODIUM) == 55 for each in drawn)
    assert potassium > caesium


def test_few_possibilities_end_the_search() -> None:
    """Fewer proposals come than were asked for when the limits leave no more."""
    limits = composition_limits(allowed=[SODIUM, CHLORINE, POTASSIUM])
    made = proposed(sodium_chloride(), limits, count=1000)
    assert [composition_of(each.crystal) for each in made] == [((CHLORINE, 1), (POTASSIUM, 1))]


def test_an_element_alone_can_be_replaced() -> None:
    """A reference of one element becomes another element."""
    [made] = proposed(silicon(), composition_limits(formula="Ge"))
    assert made.crystal.numbers.tolist() == [32, 32]


ELEMENTS = st.sampled_from([3, 8, 9, 11, 12, 17, 19, 20, 22, 26, 35, 38, 40, 56])


@settings(max_examples=30, deadline=None)
@given(
    st.frozensets(ELEMENTS, max_size=3),
    st.frozensets(ELEMENTS),
    st.frozensets(ELEMENTS, max_size=6),
    st.integers(0, 2**64 - 1),
)
def test_whatever_is_proposed_keeps_the_limits(
    required: frozenset[int], allowed: frozenset[int], forbidden: frozenset[int], seed: int
) -> None:
    """Every proposal keeps the limits, has as many elements as the reference, and is another composition."""
    forbidden -= required
    if allowed and not allowed | required > forbidden:
        allowed |= {92}
    limits = composition_limits(required=required, allowed=allowed, forbidden=forbidden)
    reference = perovskite()
    try:
        made = proposed(reference, limits, seed=seed, count=3)
    except NoSubstitutionError:
        return
    for each in made:
        numbers = each.crystal.numbers.tolist()
        assert limits.admits(numbers)
        assert len(set(numbers)) == 3
        assert not same_structure(reference, each.crystal)


@pytest.mark.parametrize(
    ("substitutions", "text"),
    [
        (((11, 19), (17, 35)), "Na becomes K, Cl becomes Br; the cell grows by 54 %"),
        (((17, 9),), "Cl becomes F; the cell shrinks by 17 %"),
        (((11, 17), (17, 11)), "Na becomes Cl, Cl becomes Na; the cell keeps its volume"),
    ],
)
def test_the_transition_names_elements_and_volume(
    substitutions: tuple[tuple[int, int], ...], text: str
) -> None:
    """The transition says what was replaced by what, and how the cell changes."""
    reference = sodium_chloride()
    made = Substituted(substitute(reference, substitutions, TABLE), substitutions, 0.1, 0)
    assert transition_text(made, reference) == text
