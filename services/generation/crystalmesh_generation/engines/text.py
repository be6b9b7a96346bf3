"""A text that an engine writes: how far it is, and when it is finished."""

from __future__ import annotations

import numpy as np

from crystalmesh_generation.engines.engine import TextOrder, Written
from crystalmesh_generation.grammar.automaton import Grammar
from crystalmesh_generation.grammar.vocabulary import BoolArray

_SEEDS = 2**64


class Text:
    """One text of an engine whose model has so many positions.

    Raises ValueError for a prompt that leaves no room to write, and ContradictoryTargetError for rules that
    no crystal obeys.
    """

    def __init__(self, order: TextOrder, grammar: Grammar, crystal: int, positions: int) -> None:
        if not 0 < len(order.prompt) < positions:
            raise ValueError(f"a prompt has 1 to {positions - 1} words, and this one {len(order.prompt)}")
        self.order = order
        self.words: list[int] = []
        self._max_words = max(1, min(order.max_words, positions - len(order.prompt)))
        self._state = grammar.start(order.rules, order.until, after=order.prompt[-1])
        self._crystal = crystal
        self._in_crystal = order.prompt[-1] == crystal
        self._log_probabilities = {True: 0.0, False: 0.0}  # in the crystal, and before it
        # One number for each word, whatever is written beside it.
        random = np.random.Generator(np.random.Philox(key=order.sampling.seed % _SEEDS))
        self._randoms: list[float] = random.random(self._max_words + 1, dtype=np.float32).tolist()

    @property
    def last(self) -> int:
        """The last word, that of the prompt where none is written yet."""
        return self.words[-1] if self.words else self.order.prompt[-1]

    @property
    def last_place(self) -> int:
        """The place of the last word, counted from the first of the prompt."""
        return len(self.order.prompt) + len(self.words) - 1

    @property
    def random(self) -> float:
        """What decides on the next word: a number in [0, 1) from the text's seed."""
        return self._randoms[len(self.words)]

    def mask(self) -> BoolArray:
        """True for the words that may follow."""
        return self._state.mask()

    def write(self, word: int, log_probability: float) -> Written:
        """One more word. A text may end after `max_words`, but is truncated where it does not."""
        self._state.advance(word)
        if not self._state.finished and len(self.words) == self._max_words:
            return self.cut()
        self._log_probabilities[self._in_crystal] += log_probability
        if self._state.finished:
            return self._written(finished=True)
        self.words.append(word)
        self._in_crystal = self._in_crystal or word == self._crystal
        return self._written()

    def cut(self) -> Written:
        """The text as far as it is, truncated."""
        return self._written(finished=True, truncated=True)

    def _written(self, *, finished: bool = False, truncated: bool = False) -> Written:
        return Written(
            words=tuple(self.words),
            finished=finished,
            truncated=truncated,
            transition_log_probability=self._log_probabilities[False],
            crystal_log_probability=self._log_probabilities[True],
        )
