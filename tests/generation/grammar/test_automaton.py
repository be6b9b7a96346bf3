from __future__ import annotations

from math import gcd

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.composition_limits import CompositionLimits, composition_limits
from crystalmesh_common.runtime.errors import ContradictoryTargetError
from crystalmesh_generation.engines.engine import Rules, Until
from crystalmesh_generation.grammar.automaton import Grammar, TextState
from crystalmesh_generation.language.alx import read_alx
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import SPECIAL
from tests.generation.grammar.walks import shortest_distance, walk

TOKENIZER = WordTokenizer.of_words()
GRAMMAR = Grammar(TOKENIZER)
CRYSTAL, TRANSITION = TOKENIZER.ids["<crystal>"], TOKENIZER.ids["<transition>"]
TITANIA = composition_limits(formula="TiO2", max_atoms=12)

elements = st.frozensets(st.integers(1, 100), max_size=4)
formulas = st.dictionaries(st.integers(1, 90), st.integers(1, 3), min_size=1, max_size=3)


@st.composite
def limits(draw: st.DrawFn) -> CompositionLimits:
    """Limits of all kinds; some that contradict themselves."""
    low = draw(st.integers(1, 8))
    high = low + draw(st.integers(0, 12))
    if draw(st.booleans()):
        counts = draw(formulas)
        formula = tuple((each, counts[each] // gcd(*counts.values())) for each in sorted(counts))
        return CompositionLimits(formula=formula, min_atoms=low, max_atoms=high)
    required, others = draw(elements), draw(elements)
    allowed = required | others if draw(st.booleans()) else None
    return CompositionLimits(
        required=required,
        allowed=allowed or None,
        forbidden=draw(elements) - required - others,
        min_atoms=low,
        max_atoms=high,
    )


def crystal_state(rules: Rules) -> TextState:
    return GRAMMAR.start(rules, Until.CRYSTAL, after=CRYSTAL)


@settings(max_examples=60, deadline=None)
@given(limits=limits(), max_atoms=st.integers(1, 20), seed=st.integers(0, 1000), tight=st.booleans())
def test_every_way_ends_in_a_crystal_within_limits(
    *, limits: CompositionLimits, max_atoms: int, seed: int, tight: bool
) -> None:
    """Random choices among allowed words always end in ALX that is read, in limits; or nothing can."""
    try:
        state = crystal_state(Rules(limits=limits, max_atoms=max_atoms))
    except ContradictoryTargetError:
        high = min(max_atoms, limits.max_atoms)
        least = max(limits.min_atoms, len(limits.required))
        units = [n for n in limits.formula_units if n * sum(dict(limits.formula or ()).values()) <= high]
        assert not units if limits.formula else least > high
        return
    *words, end = walk(state, TOKENIZER, seed, tight=tight)
    crystal = read_alx(" ".join(words), max_atoms=max_atoms)
    assert end == "</s>"
    assert limits.admits(crystal.numbers.tolist())


@settings(max_examples=15, deadline=None)
@given(
    distance=st.sampled_from([0.3, 0.5, 1.0, 2.0]),
    atoms=st.integers(1, 6),
    seed=st.integers(0, 1000),
    tight=st.booleans(),
)
def test_no_two_atoms_are_too_close(*, distance: float, atoms: int, seed: int, tight: bool) -> None:
    """With a distance demanded, atoms and images keep it in the tightest cells, and no way is a dead end."""
    rules = Rules(CompositionLimits(min_atoms=atoms, max_atoms=atoms + 2), distance, max_atoms=atoms + 2)
    *words, _ = walk(crystal_state(rules), TOKENIZER, seed, tight=tight)
    crystal = read_alx(" ".join(words), max_atoms=20)
    assert atoms <= len(crystal.numbers) <= atoms + 2
    assert shortest_distance(crystal) >= distance - 1e-6


def test_impossible_distances_are_refused_at_the_start() -> None:
    """Where no cell of the format has room for the atoms, nothing begins."""
    limits = CompositionLimits(min_atoms=20)
    with pytest.raises(ContradictoryTargetError):
        crystal_state(Rules(limits, min_distance_angstrom=55.0))


@pytest.mark.parametrize(
    "limits",
    [
        CompositionLimits(required=frozenset({8}), forbidden=frozenset({8})),
        CompositionLimits(formula=((8, 2), (22, 1)), required=frozenset({26})),
        CompositionLimits(formula=((8, 2), (22, 1)), max_atoms=2),
        CompositionLimits(required=frozenset({110})),
        CompositionLimits(allowed=frozenset()),
    ],
)
def test_limits_that_contradict_themselves_are_refused(limits: CompositionLimits) -> None:
    """Limits that no text can obey are an error at the start, never a dead end later."""
    with pytest.raises(ContradictoryTargetError):
        crystal_state(Rules(limits))


def test_a_formula_is_met_exactly() -> None:
    """With TiO2 in at most 12 atoms, texts have 1 to 4 formula units, and each of these occurs."""
    rules = Rules(TITANIA)
    sizes = set()
    for seed in range(40):
        *words, _ = walk(crystal_state(rules), TOKENIZER, seed)
        numbers = read_alx(" ".join(words), max_atoms=12).numbers.tolist()
        assert numbers.count(8) == 2 * numbers.count(22) == 2 * len(numbers) // 3
        sizes.add(len(numbers))
    assert {3, 12} < sizes <= {3, 6, 9, 12}


def test_the_transition_holds_no_special_word_and_closes_in_time() -> None:
    """Special words cannot come out of a transition, but for the one that closes it, at the limit at last."""
    rules = Rules(TITANIA, max_transition_words=5)
    state = GRAMMAR.start(rules, Until.TRANSITION, after=TRANSITION)
    specials = [TOKENIZER.ids[word] for word in SPECIAL]
    for _ in range(5):
        row = state.mask()
        assert [word for word in specials if row[word]] == [CRYSTAL]
        assert row.sum() == len(TOKENIZER) - len(SPECIAL) + 1
        state.advance(TOKENIZER.ids["becomes"])
    assert np.flatnonzero(state.mask()).tolist() == [CRYSTAL]
    state.advance(CRYSTAL)
    assert state.finished


def test_a_crystal_follows_its_transition() -> None:
    """Asked for a crystal after `<transition>`, a text is a transition, `<crystal>` and ALX."""
    state = GRAMMAR.start(Rules(TITANIA), Until.CRYSTAL, after=TRANSITION)
    for word in ("Sn", "becomes", "Ti"):
        state.advance(TOKENIZER.ids[word])
    state.advance(CRYSTAL)
    *words, end = walk(state, TOKENIZER, 1)
    assert end == "</s>"
    assert TITANIA.admits(read_alx(" ".join(words), max_atoms=12).numbers.tolist())


def test_flat_cells_cannot_be_written() -> None:
    """After two angles, exactly the third angles with which a cell closes are allowed."""
    state = crystal_state(Rules(TITANIA))
    for word in ("4.0", "4.0", "4.0", "60", "20"):
        state.advance(TOKENIZER.ids[word])
    assert {TOKENIZER.words[word] for word in np.flatnonzero(state.mask())} == {
        str(angle) for angle in range(41, 80)
    }


def test_a_free_text_may_be_anything() -> None:
    """Without limits every word may follow, and the words that end a text do."""
    state = GRAMMAR.start(Rules(), Until.CRYSTAL, after=TRANSITION)
    assert state.mask().all()
    state.advance(CRYSTAL)
    assert not state.finished
    state.advance(TOKENIZER.end)
    assert state.finished


def test_words_that_may_not_follow_are_refused() -> None:
    """A state does not go where its own mask forbids."""
    with pytest.raises(ValueError, match="may not follow"):
        crystal_state(Rules(TITANIA)).advance(TOKENIZER.end)
