"""The conversation: what the model reads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.language import templates
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.language.facts import facts_of
from crystalmesh_generation.language.portrait import Portrait, oxidation_states, portrait_of
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.transitions import write_transition
from crystalmesh_generation.language.words import SPECIAL, UNKNOWN, all_words


def rock_salt(cation: int, anion: int, length: float) -> Crystal:
    """The primitive cell of rock salt."""
    cell = length / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    return Crystal(cell, np.array([cation, anion]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


SALT = portrait_of(rock_salt(11, 17, 5.6), {"band_gap_ev": 5.0, "energy_above_hull_ev_per_atom": 0.0})
BROMIDE = portrait_of(rock_salt(19, 35, 6.6), {"band_gap_ev": 4.2, "formation_energy_ev_per_atom": -1.9})


def test_a_material_in_words() -> None:
    """A description has formula, symmetry, type, surroundings and what is known, in that order."""
    assert templates.description(SALT) == (
        "Na 1 Cl 1 ; Fm-3m rock salt ; Na octahedron 6 Cl ; Cl octahedron 6 Na ; "
        "band gap 5.0 ; energy above hull 0.00"
    )


def test_a_transition_says_what_changes_and_why() -> None:
    """Elements by their roles, symmetry, strain, and a gap that falls with the anion's electronegativity."""
    said = write_transition(SALT, BROMIDE, {11: 19, 17: 35})
    assert said == (
        "Na becomes K ; Cl becomes Br ; Fm-3m kept ; volume per atom +64 : a +18 b +18 c +18 ; "
        "band gap falls to 4.2 since Br is less electronegative than Cl"
    )
    assert write_transition(SALT, SALT, {11: 11, 17: 17}).startswith("composition kept ; Fm-3m kept")
    assert write_transition(SALT, BROMIDE, None).startswith("new prototype : K 1 Br 1 ; Fm-3m kept")


def test_knowledge_in_words() -> None:
    """Facts give oxidation states and why there is a gap."""
    said = facts_of(SALT)
    assert "charges balance : Na +1 Cl -1" in said
    assert "insulator since charges balance and Cl is far more electronegative than Na ; stable" in said


def test_a_target_in_words() -> None:
    """Every part of an aim is told, in a fixed order; an empty aim says nothing."""
    aim = Aim(
        formula=((8, 2), (22, 1)),
        forbidden=frozenset({82}),
        space_group_number=136,
        crystal_system="cubic",
        ranges={"band_gap_ev": Range(2.0, 4.0), "bulk_modulus_gpa": Range(min=98.0)},
        text="A stable Insulator for Solar cells; without Pb, like TiO2",
    )
    assert templates.target_part(aim) == (
        "<target> formula Ti 1 O 2 ; without Pb ; space group P4_2/mnm ; band gap 2.0 to 4.0 ; "
        "bulk modulus at least 100 ; text a stable insulator without Pb Ti O 2"
    )
    assert templates.crystal_prompt(templates.opening(Aim())) == "<s> <target> <crystal>"


def test_the_new_crystal_stands_at_a_known_distance() -> None:
    """Blanks fill the reference up, so that words of both are 27, 47 or 87 apart, and nothing is cut off."""
    for atoms, distance in ((1, 27), (5, 27), (6, 47), (10, 47), (20, 87), (21, 91)):
        alx = " ".join(["5.0"] * 3 + ["90"] * 3 + ["Na 0.00 0.00 0.00"] * atoms)
        words = templates.crystal_prompt(templates.opening(Aim()), alx, "composition kept").split()
        assert words[:4] == ["<s>", "<target>", "<transition>", "composition"]
        first, second = (place for place, word in enumerate(words) if word == "<crystal>")
        assert second - first == distance
        assert words[first + 1 : first + 1 + len(alx.split())] == alx.split()


@given(st.text(max_size=400))
def test_no_text_leaves_its_place(text: str) -> None:
    """Whatever a caller writes, no special word comes of it, and no more words than are allowed."""
    words = templates.plain(text)
    assert len(words) <= templates.MAX_TEXT_WORDS
    assert not set(words) & {*SPECIAL, ";"}
    assert set(words) <= set(all_words())
    prompt = templates.crystal_prompt(templates.opening(Aim(text=text)))
    assert [word for word in prompt.split() if word.startswith("<")] == ["<s>", "<target>", "<crystal>"]


@pytest.mark.parametrize("portrait", [SALT, BROMIDE])
def test_all_that_we_say_is_known(portrait: Portrait) -> None:
    """Facts, descriptions and transitions have no word that the tokenizer lacks."""
    tokenizer = WordTokenizer.of_words()
    unknown = tokenizer.ids[UNKNOWN]
    said = [
        f"{templates.facts_prompt(write_alx(rock_salt(11, 17, 5.6)))} {facts_of(portrait)} </s>",
        write_transition(portrait, SALT, None),
        templates.target_part(
            Aim(formula=portrait.composition, elements=frozenset({1, 2}), crystal_system="cubic")
        ),
    ]
    for text in said:
        assert unknown not in tokenizer.encode(text), text


def test_values_beyond_the_scale_are_at_its_end() -> None:
    """A wish that no word can tell is told by the nearest word."""
    assert templates.amount("band_gap_ev", 1e9) == "59.9"
    assert templates.amount("formation_energy_ev_per_atom", -50.0) == "-9.9"
    assert templates.amount("energy_above_hull_ev_per_atom", 3.0) == "0.99"
    assert templates.amount("bulk_modulus_gpa", 1e6) == "600"
    assert templates.amount("formation_energy_ev_per_atom", -0.04) == "0.0"


def test_words_are_numbered_once() -> None:
    """Every word has one number, the special ones the first."""
    words = all_words()
    assert len(words) == len(set(words))
    assert tuple(words[: len(SPECIAL)]) == SPECIAL


def test_oxidation_states_balance() -> None:
    """Common states where they balance, others where only those do, none for alloys and elements."""
    assert oxidation_states(((22, 1), (8, 2))) == {22: 4, 8: -2}
    assert oxidation_states(((26, 1),)) == {}
