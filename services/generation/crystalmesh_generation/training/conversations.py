"""Conversations drawn from the corpus, as text: what a model is given, and what it should say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, cell_parameters
from crystalmesh_generation.language import templates
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.language.facts import facts_of
from crystalmesh_generation.language.portrait import Portrait
from crystalmesh_generation.language.transitions import write_transition
from crystalmesh_generation.language.words import CRYSTAL, TRANSITION
from crystalmesh_generation.pairs.pair_table import Pair
from crystalmesh_generation.training.aims import draw_aim
from crystalmesh_generation.training.augmentation import Setting, draw_setting
from crystalmesh_generation.training.corpus import Corpus, Entry
from crystalmesh_generation.training.experiment import PROPERTIES, LessonConfig

_PROPERTY_TOLD = 0.5
"""Of a reference's properties, the share that is told: callers do not know all."""

TRANSITION_KIND, DIRECT_KIND, ALONE_KIND, FACTS_KIND = range(4)


@dataclass(frozen=True)
class Conversation:
    """What is said on one new crystal."""

    opening: str  # as of `templates.opening`
    known: str  # the reference's ALX, empty without one
    transition: str  # empty where none is written
    crystal: str  # the new one's ALX

    def as_question(self) -> tuple[str, str]:
        """For models that find what they read wherever it stands: all that is given, then what to say."""
        known = f"{CRYSTAL} {self.known}" if self.known else ""
        if not self.transition:
            return _words(f"{self.opening} {known} {CRYSTAL}"), _words(self.crystal)
        given = _words(f"{self.opening} {known} {TRANSITION}")
        return given, _words(f"{self.transition} {CRYSTAL} {self.crystal}")


class Conversations:
    """Draws conversations; the same random numbers give the same ones."""

    def __init__(self, corpus: Corpus, lessons: LessonConfig) -> None:
        self._corpus = corpus
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

    def told(self, row: int, random: np.random.Generator) -> tuple[str, str]:
        """A conversation on the target of a row, of one of the four kinds: what is given, and what to say."""
        kind = self._kind(random)
        if kind == FACTS_KIND:
            return self.facts(self._corpus.entries[row], random)
        if kind == ALONE_KIND:
            return self.alone(self._corpus.entries[row], random).as_question()
        pair = self._pair(row, random)
        return self.conversation(pair, random, transition=kind == TRANSITION_KIND).as_question()

    def conversation(self, pair: Pair, random: np.random.Generator, *, transition: bool) -> Conversation:
        """A target to be written from its reference."""
        reference = self._corpus.references[pair.reference]
        target = self._corpus.entries[pair.target].portrait
        shared = draw_setting(len(reference.crystal), self._lessons, random)
        own = shared if pair.aligned else draw_setting(len(pair.crystal), self._lessons, random)
        source_crystal, target_crystal = shared.of(reference.crystal), own.of(pair.crystal)
        source = _told(_in(reference.portrait, source_crystal), random)
        aim = Aim() if random.random() < self._lessons.unasked else draw_aim(target, random)
        told = Conversation(
            opening=templates.opening(aim, source),
            known=write_alx(source_crystal),
            transition="",
            crystal=write_alx(target_crystal),
        )
        if not transition:
            return told
        written = None if self._corpus.transitions is None else self._corpus.transitions(pair)
        said = written or write_transition(
            _in(reference.portrait, source_crystal),
            _in(target, target_crystal),
            _roles(source_crystal, target_crystal) if pair.aligned else None,
        )
        return replace(told, transition=said)

    def alone(self, entry: Entry, random: np.random.Generator) -> Conversation:
        """A target to be written without any reference."""
        crystal = self._setting(entry.crystal, random).of(entry.crystal)
        aim = Aim() if random.random() < self._lessons.unasked else draw_aim(entry.portrait, random)
        return Conversation(templates.opening(aim), "", "", write_alx(crystal))

    def facts(self, entry: Entry, random: np.random.Generator) -> tuple[str, str]:
        """A crystal, and what can be said of it."""
        crystal = self._setting(entry.crystal, random).of(entry.crystal)
        return templates.facts_prompt(write_alx(crystal)), facts_of(entry.portrait)

    def _kind(self, random: np.random.Generator) -> int:
        return int(random.choice(4, p=self._shares))

    def _pair(self, row: int, random: np.random.Generator) -> Pair:
        pairs = self._corpus.pairs[row]
        aligned = [pair for pair in pairs if pair.aligned]
        others = [pair for pair in pairs if not pair.aligned]
        if others and (not aligned or random.random() < self._lessons.unaligned):
            return others[random.integers(len(others))]
        return aligned[random.integers(len(aligned))]

    def _setting(self, crystal: Crystal, random: np.random.Generator) -> Setting:
        return draw_setting(len(crystal), self._lessons, random)


def _words(text: str) -> str:
    return " ".join(text.split())


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
