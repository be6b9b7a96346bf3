"""What was made for a sample: crystals, texts that are none, and how each came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.language.alx import AlxFault
from crystalmesh_generation.samples.judging import Judgement


class Author(Enum):
    """Who wrote a transition."""

    MODEL = "model"
    CALLER = "caller"
    SUBSTITUTION = "substitution"


@dataclass(frozen=True)
class Told:
    """A transition, for people."""

    text: str
    author: Author
    reference_id: str
    model: str = ""  # that wrote it
    log_probability: float | None = None
    truncated: bool = False


@dataclass(frozen=True)
class WrittenBy:
    """How a language model wrote."""

    model: str
    version: str
    temperature: float
    top_p: float
    constrained: bool
    prompt_words: int
    words: int


@dataclass(frozen=True)
class SubstitutedBy:
    """What was replaced."""

    substitutions: tuple[tuple[int, int], ...]
    table_version: str
    probability: float


@dataclass(frozen=True)
class Origin:
    """How a proposal came to be, well enough to make it again."""

    by: WrittenBy | SubstitutedBy
    reference_id: str  # empty: there was none
    seed: int


@dataclass(frozen=True, eq=False)
class Proposal:
    """A crystal that may become the outcome of its sample."""

    crystal: Crystal
    alx_text: str
    origin: Origin
    judgement: Judgement
    values: Mapping[str, float]  # of the regression head, by the names in the API
    transition: Told | None = None
    log_probability: float | None = None
    symmetrized: bool = False
    screened: Mapping[str, float] = field(default_factory=dict)  # what a screen predicts, by the same names


@dataclass(frozen=True, eq=False)
class NoCrystal:
    """Text that a model wrote and that is no crystal."""

    fault: AlxFault
    message: str
    alx_text: str
    origin: Origin
    transition: Told | None = None
