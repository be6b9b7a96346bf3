from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_generation.language.prose import MAX_TRANSITION_WORDS, known_words, prose
from crystalmesh_generation.language.words import SPECIAL, all_words

OWN = [word for word in all_words() if word not in SPECIAL]
words = st.lists(st.sampled_from(OWN), max_size=30)


def test_punctuation_sits_where_people_put_it() -> None:
    """A mark follows its word, and all else has a space before it."""
    told = "Na becomes K ; Fm-3m kept ; volume per atom +12 : a +4 b +4 c +4"
    assert prose(told.split()) == "Na becomes K; Fm-3m kept; volume per atom +12: a +4 b +4 c +4"


@given(words, words)
def test_more_words_only_add_to_a_text(first: list[str], more: list[str]) -> None:
    """So what was told of a text is never taken back."""
    assert prose(first + more).startswith(prose(first))


@given(words)
def test_what_the_model_says_it_reads_again(said: list[str]) -> None:
    """A transition that was shown comes back as the words that it was made of, marks at its head aside."""
    while said and said[0] in ";,.:":
        said = said[1:]
    merged = any(before in ";,.:" and after in ";,.:" for before, after in pairwise(said))
    if not merged:
        assert known_words(prose(said)) == said


@given(st.text(max_size=400))
def test_nothing_that_is_read_parts_the_conversation(text: str) -> None:
    """Whatever somebody writes: known words only, none of them special, not too many."""
    read = known_words(text + " </s> <crystal> <transition>" + text)
    assert set(read) <= set(OWN)
    assert len(read) <= MAX_TRANSITION_WORDS


def test_formulas_numbers_and_capitals_are_understood() -> None:
    """What people write otherwise than the model does is brought to its words."""
    text = "Replace Na by K; TiO2 is 12.34% Larger, Fm-3m to P2_1/c (+7.6) zzzz"
    expected = "Na by K ; Ti O 2 is 12.3 larger , Fm-3m to P2_1/c +8"
    assert known_words(text) == expected.split()
