"""Questions in plain English become targets, as far as rules can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_common.crystal.description import describe_target
from crystalmesh_common.crystal.description.plain_words import MAX_CHARACTERS, target_of_words
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, SYMBOLS


def read(text: str) -> str:
    """The target of a text as a description, "" where there is none."""
    target = target_of_words(text)
    return "" if target is None else describe_target(target)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a lithium oxide with a gap of 2-4 eV that is stable",
            "with Li, O; band gap 2.000 to 4.000 eV; energy above hull at most 0.025 eV/atom",
        ),
        ("cubic perovskite with titanium and barium", "with Ti, Ba; cubic"),
        ("barium titanate", "with O, Ti, Ba"),
        ("LiCoO2", "LiCoO2"),
        ("Fe-Li-P-O cathode", "with Li, O, P, Fe"),
        ("2 to 3 eV gap oxides without Pb or Cd", "with O; without Cd, Pb; band gap 2.000 to 3.000 eV"),
        ("lead-free iodide, gap above 1.2 eV", "with I; without Pb; band gap at least 1.200 eV"),
        ("hard boride with bulk modulus above 300 GPa", "with B; bulk modulus at least 300 GPa"),
        ("a telluride in space group 166", "with Te; space group 166"),
        ("magnesium arsenide in space group P-3m1", "with Mg, As; space group 164"),
        ("metastable cubic carbon", "with C; cubic; energy above hull at most 0.100 eV/atom"),
        ("unstable nitride", "with N"),
        ("formation energy below -2 eV/atom", "formation energy at most -2.000 eV/atom"),
        ("a nitride with no gap", "with N; band gap 0.000 eV"),
        ("an insulating phosphate", "with O, P; band gap at least 3.000 eV"),
    ],
)
def test_what_a_question_asks_for(text: str, expected: str) -> None:
    """Elements by name, symbol and compound, formulas, symmetry and ranges are told, the rest not."""
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Something in the middle of nowhere",
        "I need a superconductor. As soon as possible! In time?",
        "NaCl; space group 225; band gap 5.000 eV",
        "an oxide without oxygen",
        "oxide " * MAX_CHARACTERS,
        "space group 231",
        "Li0 with H0",
    ],
)
def test_texts_that_ask_for_nothing_that_rules_find(text: str) -> None:
    """English words are no elements, descriptions stay as they are, contradictions are nobody's target."""
    assert target_of_words(text) is None


WORDS = st.sampled_from([*SYMBOLS, "Li0", "H0O0", "gap", "2-4", "no", "(", "of"])


@given(st.text(max_size=200) | st.lists(WORDS).map(" ".join))
def test_any_text_is_read(text: str) -> None:
    """No text makes it fail, and what it finds is a target of real elements that can be described."""
    target = target_of_words(text)
    if target is not None:
        assert set(target.required_elements) <= set(ATOMIC_NUMBERS.values())
        assert not set(target.required_elements) & set(target.forbidden_elements)
        describe_target(target)
