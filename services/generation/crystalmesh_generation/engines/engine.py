"""What an engine is asked and what it answers: words in, words out, a few at a time.

An engine holds many texts at once and writes one more word of each at every step, so that a text may join
or leave at any time. It knows words and rules for words, and nothing of crystals, calls or callers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from crystalmesh_common.crystal.composition_limits import CompositionLimits


class Until(StrEnum):
    """What ends a text."""

    TRANSITION = "transition"  # the `<crystal>` after a transition; it is not part of the text
    CRYSTAL = "crystal"  # the `</s>` after a crystal; it is not part of the text


@dataclass(frozen=True)
class Sampling:
    """How words are chosen."""

    temperature: float = 1.0  # 0: the likeliest always
    top_p: float = 1.0
    seed: int = 0  # same seed, text, model and machine: same words, whatever else is written beside it


@dataclass(frozen=True)
class Rules:
    """What a text must obey; with `limits` of None the model writes freely."""

    limits: CompositionLimits | None = None
    min_distance_angstrom: float = 0.0  # between any two atoms and images, while writing; 0: not enforced
    max_atoms: int = 20
    max_transition_words: int = 120


@dataclass(frozen=True)
class TextOrder:
    """One text to write after a prompt that ends with `<transition>` or `<crystal>`."""

    prompt: tuple[int, ...]  # orders with one prompt share the work of reading it
    until: Until
    sampling: Sampling
    rules: Rules
    max_words: int  # the longest text; where it is reached, the text is truncated


@dataclass(frozen=True)
class Written:
    """A text that is finished, or how far it is."""

    words: tuple[int, ...]  # all so far, but for the one that ends the text
    finished: bool
    truncated: bool = False  # it reached `max_words`
    # Natural logarithms of the words' probabilities as the model gave them, at temperature 1 and before any
    # rule: those up to and including `<crystal>`, and those after it with what ends the text.
    transition_log_probability: float = 0.0
    crystal_log_probability: float = 0.0


class Engine(Protocol):
    """A language model that writes. For one thread at a time."""

    @property
    def capacity(self) -> int:
        """Texts that it writes at once; more may be added and wait."""
        ...

    def add(self, key: int, order: TextOrder) -> None:
        """Take on a text. Keys are the caller's; raises ValueError for one that is in use."""
        ...

    def drop(self, key: int) -> None:
        """Forget a text, finished or not; its place is free at once."""
        ...

    def step(self) -> Mapping[int, Written]:
        """One more word of every text that is being written, by key; finished ones are forgotten."""
        ...

    def values(self, crystals: Sequence[Sequence[int]]) -> Sequence[Mapping[str, float]]:
        """What the regression head says of crystals, each `<s> <crystal> ALX <facts>`; in properties' units.

        Empty mappings where the model has no such head.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...
