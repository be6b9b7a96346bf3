from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from crystalmesh_retrieval.training.batches import batch_count, batches, skimmed
from crystalmesh_retrieval.training.pairs import Pair
from crystalmesh_retrieval.training.queries import query, symmetry_words
from tests.retrieval.training.datasets import pairs_of, tiny


def drawn(seed: int) -> Random:
    return Random(seed)  # noqa: S311 -- it is no secret


@pytest.fixture
def pairs(split_folder: Path) -> list[Pair]:
    return pairs_of(split_folder)


def test_without_formula_nothing_is_said_of_elements(pairs: list[Pair]) -> None:
    """No wording of a query without formula holds a symbol or a name of an element of the material."""
    names = {"Na": "sodium", "Cl": "chlor", "O": "ox", "S": "sulf", "Mg": "magnes", "Li": "lithium"}
    for seed in range(200):
        pair = pairs[seed % len(pairs)]
        text = query(pair, drawn(seed), formula=False)
        assert text
        for symbol in re.findall("[A-Z][a-z]?", pair.formula):
            assert not re.search(rf"(?<![A-Za-z]){symbol}(?![a-z])", text.replace("I need", "")), text
            assert names.get(symbol, "?") not in text, text


def test_wordings_are_many_and_repeatable(pairs: list[Pair]) -> None:
    """The same draw gives the same words; about half of all are the plain property text."""
    pair = pairs[0]
    texts = [query(pair, drawn(seed), formula=True) for seed in range(200)]
    assert texts == [query(pair, drawn(seed), formula=True) for seed in range(200)]
    assert 0.4 < sum(text == pair.property_text() for text in texts) / 200 < 0.7
    assert len(set(texts)) > 40
    assert any("band gap" in text and " to " in text for text in texts)


def test_ranges_hold_the_value(pairs: list[Pair]) -> None:
    """Whatever range a query asks for, the material's own gap is within it."""
    for seed in range(300):
        pair = pairs[seed % len(pairs)]
        found = re.search(r"band gap ([\d.]+) to ([\d.]+) eV", query(pair, drawn(seed), formula=True))
        if found:
            low, high = map(float, found.groups())
            assert low - 5e-4 <= (pair.band_gap_ev or 0.0) <= high + 5e-4


def test_symmetry_is_read_from_the_text(pairs: list[Pair]) -> None:
    """Rock salt is cubic, Fm-3m."""
    assert symmetry_words(pairs[0]) == ("cubic", "Fm-3m")


def test_batches_are_the_same_from_anywhere(pairs: list[Pair]) -> None:
    """Begun in the middle an epoch has the same batches; each pair comes at most once, epochs differ."""
    recipe = tiny()
    whole = list(batches(recipe, pairs, 0))
    assert len(whole) == batch_count(recipe, len(pairs)) == 4
    assert list(batches(recipe, pairs, 0, start=2)) == whole[2:]
    assert list(batches(recipe, pairs, 1)) != whole
    plain = list(batches(tiny(augment=False, skimmed_epochs=0), pairs, 0))
    told = [text for batch in plain for text in batch.structures]
    assert len(set(told)) == len(told) == 32


def test_skimming_keeps_the_whole_and_drops_sites() -> None:
    """Type, symmetry and network stay; of the sentences on sites some stay, unchanged and in order."""
    text = (
        "NaCl: rock salt (NaCl type), AB_cF8_225, cubic, space group Fm-3m (225). One connected framework. "
        "Na: octahedron of 6 Cl at 2.82 Å. Cl (1/2): octahedron of 6 Na at 2.82 Å. Cl (1/2): no neighbours."
    )
    lengths = set()
    for seed in range(30):
        short = skimmed(text, drawn(seed))
        assert short.startswith(text[: text.index(" Na: oct")])
        assert all(sentence in text for sentence in short.split(". "))
        lengths.add(len(short))
    assert len(lengths) > 3
