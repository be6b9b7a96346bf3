"""A corpus of rock salts, without any tables."""

from __future__ import annotations

from itertools import product

from crystalmesh_generation.language.portrait import portrait_of
from crystalmesh_generation.pairs.pair_table import Pair
from crystalmesh_generation.training.corpus import Corpus, Entry
from tests.generation.pairs.structures import rock_salt

_CATIONS, _ANIONS = (3, 11, 19, 37), (9, 17, 35, 53)


def salts(first: int = 0, last: int = 16) -> Corpus:
    """Some of sixteen salts, each to be written from the two before it."""
    entries = {
        row: Entry(crystal, portrait_of(crystal, {"band_gap_ev": 9.0 - 0.3 * row}))
        for row, crystal in enumerate(
            rock_salt(numbers, a=4.0 + 0.2 * place)
            for place, numbers in enumerate(product(_CATIONS, _ANIONS))
        )
    }
    pairs = {
        row: tuple(Pair(row, (row - back) % 16, 0.0, entries[row].crystal) for back in (1, 2))
        for row in range(first, last)
    }
    return Corpus(entries, entries, pairs, sha256="salts")
