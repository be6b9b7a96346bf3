"""The grammar of texts: a transition of ordinary words, then a crystal within limits.

From every state at least one word may follow, and every way ends in ALX that `language.alx` reads.
"""

from __future__ import annotations

from typing import Protocol

from crystalmesh_generation.engines.engine import Rules, Until
from crystalmesh_generation.grammar.crystal_text import CrystalText
from crystalmesh_generation.grammar.vocabulary import BoolArray, Vocabulary
from crystalmesh_generation.language.tokenizer import WordTokenizer


class TextState(Protocol):
    """How far a text is."""

    @property
    def finished(self) -> bool:
        """Whether the word that ends the text was written."""
        ...

    def mask(self) -> BoolArray:
        """A row (words,), true for those that may follow; at least one is. Nobody may change it."""
        ...

    def advance(self, word: int) -> None:
        """One more word. Raises ValueError for one that may not follow."""
        ...


class Grammar:
    """What may be written with the words of a tokenizer. Its states are one thread's each."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        self._vocabulary = Vocabulary(tokenizer)

    def start(self, rules: Rules, until: Until, *, after: int) -> TextState:
        """The state after a prompt with this last word: `<crystal>`, or what begins a transition.

        Raises ContradictoryTargetError for rules that no crystal obeys.
        """
        vocabulary = self._vocabulary
        if rules.limits is None:
            ends = {vocabulary.end} | ({vocabulary.crystal} if until is Until.TRANSITION else set())
            return _FreeText(vocabulary, frozenset(ends))
        if until is Until.TRANSITION:
            return _TransitionText(vocabulary, rules.max_transition_words, None)
        crystal = CrystalText(vocabulary, rules, rules.limits)
        if after == vocabulary.crystal:
            return crystal
        return _TransitionText(vocabulary, rules.max_transition_words, crystal)


class _FreeText:
    """Any words, until one that ends the text."""

    def __init__(self, vocabulary: Vocabulary, ends: frozenset[int]) -> None:
        self.finished = False
        self._row = vocabulary.anything
        self._ends = ends

    def mask(self) -> BoolArray:
        return self._row

    def advance(self, word: int) -> None:
        self.finished = word in self._ends


class _TransitionText:
    """Ordinary words, `<crystal>`, and then the crystal where one is wanted."""

    def __init__(self, vocabulary: Vocabulary, max_words: int, crystal: CrystalText | None) -> None:
        self._vocabulary = vocabulary
        self._left = max_words
        self._crystal = crystal
        self._in_crystal = False
        self._closed = False

    @property
    def finished(self) -> bool:
        return self._closed or (self._crystal is not None and self._crystal.finished)

    def mask(self) -> BoolArray:
        if self._in_crystal and self._crystal is not None:
            return self._crystal.mask()
        return self._vocabulary.transition if self._left > 0 else self._vocabulary.only_crystal

    def advance(self, word: int) -> None:
        if self._in_crystal and self._crystal is not None:
            self._crystal.advance(word)
            return
        if not self.mask()[word]:
            raise ValueError(f"word {word} may not follow")
        self._left -= 1
        if word == self._vocabulary.crystal:
            self._in_crystal = self._crystal is not None
            self._closed = self._crystal is None
