from __future__ import annotations

from typing import cast

import pytest

from crystalmesh_common.crystal.composition_limits import composition_limits
from crystalmesh_common.runtime.errors import TooManyAtomsError
from crystalmesh_generation.engines.engine import Engine, Until, Written
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.alx import ATOM_WORDS, CELL_WORDS
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.samples.asked import Options, Prompt, Request, known_material
from crystalmesh_generation.samples.writing import WritingModel, crystal_text, first_text
from crystalmesh_generation.serving.models import ModelFacts
from tests.conftest import sodium_chloride

TOKENIZER = WordTokenizer.of_words()
SALT = known_material(sodium_chloride(), {})


def model(max_tokens: int) -> WritingModel:
    facts = ModelFacts("none", max_atoms=20, max_tokens=max_tokens)
    return WritingModel(facts, cast("Engine", None), TOKENIZER)


def request(**target: object) -> Request:
    limits = composition_limits(**target)  # type: ignore[arg-type]
    aim = Aim(formula=limits.formula or ())
    return Request(Prompt("p", aim, limits, SALT), Options("none", writes=True, substitutes=False))


@pytest.mark.parametrize("target", [{}, {"min_atoms": 5}, {"formula": "LiFePO4"}, {"required": range(1, 9)}])
def test_what_is_begun_can_be_completed(target: dict[str, object]) -> None:
    """However few words a model reads, it is an error at once, or the longest crystal admitted has room."""
    asked = request(**target)
    refused, shortest = 0, 0
    for max_tokens in range(40, 400):
        try:
            text = first_text(asked, SALT, model(max_tokens), 0)
        except TooManyAtomsError:
            refused += 1
            continue
        assert text.order.until is Until.TRANSITION
        longest = tuple(TOKENIZER.encode(" ".join(["kept"] * text.order.max_words)))
        crystal = crystal_text(text, Written(longest, finished=True, truncated=True)).order
        shortest = shortest or crystal.rules.max_atoms
        assert crystal.max_words == CELL_WORDS + ATOM_WORDS * crystal.rules.max_atoms + 1
        assert len(crystal.prompt) + crystal.max_words <= max_tokens
        assert asked.prompt.limits.least_atoms <= crystal.rules.max_atoms <= 20
    assert 0 < refused < 300
    assert shortest == asked.prompt.limits.least_atoms
    assert crystal.rules.max_atoms == 20


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ({"formula": "KBr"}, "formula K 1 Br 1"),
        ({"formula": "KBr", "min_atoms": 5}, "formula K 3 Br 3"),
        ({"formula": "TiO2"}, "formula Ti 1 O 2"),
        ({"formula": "C"}, "formula C 2"),
        ({"formula": "C", "max_atoms": 1}, "formula C 1"),
    ],
)
def test_a_formula_is_told_of_a_cell_that_may_be_written(target: dict[str, object], told: str) -> None:
    """As large as the reference's where that is admitted, else the smallest that is."""
    read = TOKENIZER.decode(first_text(request(**target), SALT, model(512), 0).order.prompt)
    assert f"<target> {told} <reference>" in read


def test_one_without_a_reference_is_told_the_smallest_cell() -> None:
    """As lessons without references do."""
    asked = request(formula="GaAs", min_atoms=3)
    read = TOKENIZER.decode(first_text(asked, None, model(512), 0).order.prompt)
    assert "formula Ga 2 As 2" in read
