"""The words of a tokenizer by what they can be in a crystal, as rows of yes and no."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import ANGLES, COORDINATES, CRYSTAL, ELEMENTS, LENGTHS, SPECIAL

BoolArray = npt.NDArray[np.bool_]

MIN_LENGTH_ANGSTROM = 1.0


class Numeral(Enum):
    """Numbers in a crystal."""

    LENGTH = "length"
    ANGLE = "angle"
    COORDINATE = "coordinate"


class Vocabulary:
    """Rows (words,) that are true for the words that may follow. Rows are shared: nobody may change one."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        self._size = len(tokenizer)
        ids = tokenizer.ids
        self.end, self.crystal = tokenizer.end, ids[CRYSTAL]
        ordinary = set(range(self._size)) - {ids[word] for word in SPECIAL}
        self.anything = self.row(range(self._size))
        self.transition = self.row({*ordinary, self.crystal})
        self.only_crystal = self.row([self.crystal])
        self._numerals = {
            kind: np.array([ids.get(word, -1) for word in words])
            for kind, words in zip(Numeral, (LENGTHS, ANGLES, COORDINATES), strict=True)
        }
        self.places = {  # tenths of a length, degrees above the least angle, hundredths of a coordinate
            kind: {word: place for place, word in enumerate(words.tolist()) if word >= 0}
            for kind, words in self._numerals.items()
        }
        self.any_length = self.some(Numeral.LENGTH, [float(word) >= MIN_LENGTH_ANGSTROM for word in LENGTHS])
        self.any_angle = self.row(self.places[Numeral.ANGLE])
        self.any_coordinate = self.row(self.places[Numeral.COORDINATE])
        self.numbers = {ids[symbol]: ATOMIC_NUMBERS[symbol] for symbol in ELEMENTS if symbol in ids}
        self._elements = {number: word for word, number in self.numbers.items()}
        self.elements = lru_cache(maxsize=1024)(self._element_row)

    def row(self, words: Iterable[int]) -> BoolArray:
        """True for these words."""
        row = np.zeros(self._size, dtype=bool)
        row[np.fromiter(words, dtype=np.intp)] = True
        row.setflags(write=False)
        return row

    def some(self, kind: Numeral, allowed: Sequence[bool] | BoolArray) -> BoolArray:
        """True for those numbers of a kind whose place in `allowed` is true."""
        words = self._numerals[kind][np.asarray(allowed, dtype=bool)]
        return self.row(words[words >= 0])

    def _element_row(self, numbers: frozenset[int], *, or_end: bool) -> BoolArray:
        words = [self._elements[number] for number in numbers]
        return self.row([*words, self.end] if or_end else words)
