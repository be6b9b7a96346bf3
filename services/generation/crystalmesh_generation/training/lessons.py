"""Lessons: conversations drawn from the corpus, as words with their weights in the loss."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, cell_parameters
from crystalmesh_generation.language import templates
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.language.facts import facts_of
from crystalmesh_generation.language.portrait import Portrait
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.transitions import write_transition
from crystalmesh_generation.language.words import CRYSTAL, FACTS, TRANSITION
from crystalmesh_generation.pairs.pair_table import Pair
from crystalmesh_generation.training.aims import draw_aim
from crystalmesh_generation.training.augmentation import Setting, draw_setting
from crystalmesh_generation.training.corpus import Corpus, Entry
from crystalmesh_generation.training.experiment import PROPERTIES, LessonConfig

_PROPERTY_TOLD = 0.5
"""Of a reference's properties, the share that is told: callers do not know all."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One conversation. Word n + 1 is what is to be said after the first n + 1 words."""

    words: list[int]
    weights: list[float]  # of each word in the loss, as what comes next; 0 for what is only read
    span: tuple[int, int] | None = None  # of a crystal whose values are asked, up to its `<facts>`
    values: tuple[float, ...] = ()  # of `PROPERTIES`, NaN where not known


class Teacher:
    """Draws lessons; the same random numbers give the same lessons."""

    def __init__(self, corpus: Corpus, tokenizer: WordTokenizer, lessons: LessonConfig) -> None:
        self._corpus = corpus
        self._tokenizer = tokenizer
        self._lessons = lessons
        shares = np.array([lessons.transition, lessons.direct, lessons.alone, lessons.facts])
        self._shares = shares / shares.sum()

    @property
    def rows(self) -> list[int]:
        """Of the targets."""
        return sorted(self._corpus.pairs)

    def first_pair(self, row: int) -> Pair:
        """The first of a target's pairs: aligned, where any is."""
        return self._corpus.pairs[row][0]

    def lesson(self, row: int, random: np.random.Generator) -> Lesson:
        """A lesson on the target of a row."""
        kind = int(random.choice(4, p=self._shares))
        if kind == 3:
            return self._facts(self._corpus.entries[row], random)
        if kind == 2:
            return self._alone(self._corpus.entries[row], random)
        return self.writing(self._pair(row, random), random, transition=kind == 0)

    def writing(self, pair: Pair, random: np.random.Generator, *, transition: bool) -> Lesson:
        """A target to be written from its reference."""
        prompt, completion = self.conversation(pair, random, transition=transition)
        return self._lesson(prompt, completion, self._lessons.prompt_weight)

    def conversation(self, pair: Pair, random: np.random.Generator, *, transition: bool) -> tuple[str, str]:
        """The same as text: what the model is given, and what it should say."""
        reference = self._corpus.references[pair.reference]
        target = self._corpus.entries[pair.target].portrait
        shared = draw_setting(len(reference.crystal), self._lessons, random)
        own = shared if pair.aligned else draw_setting(len(pair.crystal), self._lessons, random)
        source_crystal, target_crystal = shared.of(reference.crystal), own.of(pair.crystal)
        source = _told(_in(reference.portrait, source_crystal), random)
        aim = Aim() if random.random() < self._lessons.unasked else draw_aim(target, random)
        part = templates.reference_part(source, write_alx(source_crystal))
        alx = " ".join(write_alx(target_crystal).split())
        if not transition:
            return templates.crystal_prompt(aim, part), alx
        said = write_transition(
            _in(reference.portrait, source_crystal),
            _in(target, target_crystal),
            _roles(source_crystal, target_crystal) if pair.aligned else None,
        )
        return templates.transition_prompt(aim, part), f"{said} {CRYSTAL} {alx}"

    def _pair(self, row: int, random: np.random.Generator) -> Pair:
        pairs = self._corpus.pairs[row]
        aligned = [pair for pair in pairs if pair.aligned]
        others = [pair for pair in pairs if not pair.aligned]
        if others and (not aligned or random.random() < self._lessons.unaligned):
            return others[random.integers(len(others))]
        return aligned[random.integers(len(aligned))]

    def _alone(self, entry: Entry, random: np.random.Generator) -> Lesson:
        crystal = self._setting(entry.crystal, random).of(entry.crystal)
        aim = Aim() if random.random() < self._lessons.unasked else draw_aim(entry.portrait, random)
        return self._lesson(templates.crystal_prompt(aim, ""), write_alx(crystal), 0.0)

    def _facts(self, entry: Entry, random: np.random.Generator) -> Lesson:
        crystal = self._setting(entry.crystal, random).of(entry.crystal)
        prompt = templates.facts_prompt(write_alx(crystal))
        words = self._tokenizer.encode(templates.lesson(prompt, facts_of(entry.portrait)))
        end = words.index(self._tokenizer.ids[FACTS])
        weights = [self._lessons.prompt_weight] * end + [self._lessons.facts_weight] * (len(words) - end)
        known = entry.portrait.properties
        values = tuple(known.get(name, float("nan")) for name in PROPERTIES)
        return Lesson(words, [0.0, *weights[1:]], (2, end), values)

    def _setting(self, crystal: Crystal, random: np.random.Generator) -> Setting:
        return draw_setting(len(crystal), self._lessons, random)

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


def _in(portrait: Portrait, crystal: Crystal) -> Portrait:
    """The portrait with the axes that the crystal has in this setting."""
    lengths, _ = cell_parameters(crystal.cell)
    first, second, third = lengths.tolist()
    return replace(portrait, lengths_angstrom=(first, second, third))


def _told(portrait: Portrait, random: np.random.Generator) -> Portrait:
    known = {name: value for name, value in portrait.properties.items() if name in PROPERTIES}
    told = {name: value for name, value in known.items() if random.random() < _PROPERTY_TOLD}
    return replace(portrait, properties=told)


def _roles(source: Crystal, target: Crystal) -> dict[int, int]:
    """Which element of the target stands where each of the source stood."""
    return dict(zip(source.numbers.tolist(), target.numbers.tolist(), strict=True))
