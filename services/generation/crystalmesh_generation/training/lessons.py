"""Lessons: conversations as words of our own model, with their weights in the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystalmesh_generation.language import templates
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import CRYSTAL, FACTS, TRANSITION
from crystalmesh_generation.pairs.pair_table import Pair
from crystalmesh_generation.training.conversations import (
    ALONE_KIND,
    FACTS_KIND,
    TRANSITION_KIND,
    Conversations,
)
from crystalmesh_generation.training.corpus import Corpus, Entry
from crystalmesh_generation.training.experiment import PROPERTIES, LessonConfig


@dataclass(frozen=True, eq=False)
class Lesson:
    """One conversation. Word n + 1 is what is to be said after the first n + 1 words."""

    words: list[int]
    weights: list[float]  # of each word in the loss, as what comes next; 0 for what is only read
    span: tuple[int, int] | None = None  # of a crystal whose values are asked, up to its `<facts>`
    values: tuple[float, ...] = ()  # of `PROPERTIES`, NaN where not known


class Teacher(Conversations):
    """Draws lessons; the same random numbers give the same lessons."""

    def __init__(self, corpus: Corpus, tokenizer: WordTokenizer, lessons: LessonConfig) -> None:
        super().__init__(corpus, lessons)
        self._tokenizer = tokenizer

    def lesson(self, row: int, random: np.random.Generator) -> Lesson:
        """A lesson on the target of a row."""
        kind = self._kind(random)
        if kind == FACTS_KIND:
            return self._facts_lesson(self._corpus.entries[row], random)
        if kind == ALONE_KIND:
            return self._lesson(*self.alone(self._corpus.entries[row], random), 0.0)
        return self.writing(self._pair(row, random), random, transition=kind == TRANSITION_KIND)

    def writing(self, pair: Pair, random: np.random.Generator, *, transition: bool) -> Lesson:
        """A target to be written from its reference."""
        prompt, completion = self.conversation(pair, random, transition=transition)
        return self._lesson(prompt, completion, self._lessons.prompt_weight)

    def _facts_lesson(self, entry: Entry, random: np.random.Generator) -> Lesson:
        words = self._tokenizer.encode(templates.lesson(*self.facts(entry, random)))
        end = words.index(self._tokenizer.ids[FACTS])
        weights = [self._lessons.prompt_weight] * end + [self._lessons.facts_weight] * (len(words) - end)
        known = entry.portrait.properties
        values = tuple(known.get(name, float("nan")) for name in PROPERTIES)
        return Lesson(words, [0.0, *weights[1:]], (2, end), values)

    def _lesson(self, prompt: str, completion: str, prompt_weight: float) -> Lesson:
        read = self._tokenizer.encode(prompt)
        words = read + self._tokenizer.encode(templates.lesson("", completion))
        weights = [0.0] * len(read) + [1.0] * (len(words) - len(read))
        ids = self._tokenizer.ids
        # The reference is a crystal like any other, so that writing it is a lesson too.
        closing = ids[TRANSITION] if read[-1] == ids[TRANSITION] else ids[CRYSTAL]
        first = read.index(ids[CRYSTAL])
        if prompt_weight and first < len(read) - 1:
            for n in range(first + 1, len(read) - (read[-1] == closing)):
                weights[n] = prompt_weight
        return Lesson(words, weights)
