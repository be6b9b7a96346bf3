"""Lessons: conversations as words of our own model, with their weights in the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crystalmesh_generation.language import templates
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import BLANK, CRYSTAL, END, FACTS, TRANSITION
from crystalmesh_generation.pairs.pair_table import Pair
from crystalmesh_generation.training.conversations import (
    ALONE_KIND,
    FACTS_KIND,
    TRANSITION_KIND,
    Conversation,
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
        self._blank = tokenizer.ids[BLANK]
        self._known_weight = lessons.prompt_weight

    def lesson(self, row: int, random: np.random.Generator) -> Lesson:
        """A lesson on the target of a row."""
        kind = self._kind(random)
        if kind == FACTS_KIND:
            return self._facts_lesson(self._corpus.entries[row], random)
        if kind == ALONE_KIND:
            return self._lesson(self.alone(self._corpus.entries[row], random))
        return self.writing(self._pair(row, random), random, transition=kind == TRANSITION_KIND)

    def writing(self, pair: Pair, random: np.random.Generator, *, transition: bool) -> Lesson:
        """A target to be written from its reference."""
        return self._lesson(self.conversation(pair, random, transition=transition))

    def _facts_lesson(self, entry: Entry, random: np.random.Generator) -> Lesson:
        prompt, facts = self.facts(entry, random)
        words = self._tokenizer.encode(f"{prompt} {facts} {END}")
        end = words.index(self._tokenizer.ids[FACTS])
        weights = [self._lessons.prompt_weight] * end + [self._lessons.facts_weight] * (len(words) - end)
        known = entry.portrait.properties
        values = tuple(known.get(name, float("nan")) for name in PROPERTIES)
        return Lesson(words, [0.0, *weights[1:]], (2, end), values)

    def _lesson(self, said: Conversation) -> Lesson:
        """What the model writes counts; the reference a little, for writing it is a lesson too."""
        parts = [(said.opening, 0.0)]
        if said.transition:
            parts += [(TRANSITION, 0.0), (f"{said.transition} {CRYSTAL}", 1.0)]
        if said.known:
            known = templates.known_part(said.known)
            parts.append((known.removeprefix(CRYSTAL) if said.transition else known, self._known_weight))
        parts += [(CRYSTAL, 0.0), (f"{said.crystal} {END}", 1.0)]
        words: list[int] = []
        weights: list[float] = []
        for text, weight in parts:
            added = self._tokenizer.encode(text)
            words += added
            weights += [0.0 if word == self._blank else weight for word in added]
        return Lesson(words, weights)
