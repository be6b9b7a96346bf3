"""Texts of words drawn at random among those that the grammar admits."""

from __future__ import annotations

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_generation.grammar.automaton import TextState
from crystalmesh_generation.language.alx import CELL_WORDS
from crystalmesh_generation.language.tokenizer import WordTokenizer


def walk(state: TextState, tokenizer: WordTokenizer, seed: int, *, tight: bool = False) -> list[str]:
    """The words until the text is finished, the last among them.

    A tight text has the smallest cell that may be written and ends only where it must.
    """
    random = np.random.default_rng(seed)
    words: list[str] = []
    while not state.finished:
        choices = np.flatnonzero(state.mask())
        if tight and len(words) < CELL_WORDS:
            choices = choices[: 1 + len(choices) // 20]
        if tight and len(choices) > 1:
            choices = choices[choices != tokenizer.end]
        word = int(random.choice(choices))
        state.advance(word)
        words.append(tokenizer.words[word])
    return words


def shortest_distance(crystal: Crystal) -> float:
    """Between any two atoms or images, by trying all cells around that could matter; in Å."""
    heights = 1 / np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)
    reach = np.ceil(2.0 / heights).astype(int) + 1
    shifts = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), -1).reshape(-1, 3)
    least = float(np.min(np.linalg.norm(shifts[np.any(shifts != 0, axis=1)] @ crystal.cell, axis=1)))
    for first in range(len(crystal.numbers)):
        for second in range(first):
            apart: FloatArray = crystal.frac_coords[first] - crystal.frac_coords[second] + shifts
            least = min(least, float(np.linalg.norm(apart @ crystal.cell, axis=1).min()))
    return least
