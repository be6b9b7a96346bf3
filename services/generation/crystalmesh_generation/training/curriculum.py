"""Which crystals are learnt from, in which order, and what a training is one of."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_generation.training.corpus import Corpus
from crystalmesh_generation.training.experiment import Experiment, LessonConfig

_ELSEWHERE: dict[str, bool | set[str]] = {
    "budget": True,
    "machine": True,
    "adapter": {"checkpoint", "part_tokens", "gradient_checkpointing", "merge"},
    "transitions": {
        "base_url", "key_variable", "concurrent", "timeout_seconds", "attempts", "longest_wait_seconds"
    },
}  # fmt: skip
"""What may change while a training goes on: its budget, and all that another machine has otherwise."""


class Epochs:
    """Every row once an epoch, in an order of its own."""

    def __init__(self, rows: list[int], seed: int) -> None:
        self._rows = rows
        self._seed = seed
        self._epoch = -1
        self._shuffled: list[int] = []

    def row(self, place: int) -> int:
        """Of the lesson with this number, counted from the beginning of the training."""
        epoch, position = divmod(place, len(self._rows))
        if epoch != self._epoch:
            random = np.random.default_rng([self._seed, 1, epoch])
            self._epoch = epoch
            self._shuffled = random.permutation(self._rows).tolist()
        return self._shuffled[position]


def rows_to_learn(experiment: Experiment, corpus: Corpus) -> list[int]:
    """The rows of the targets that are small enough, and as many as are wanted.

    Raises InvalidFieldError where there are none.
    """
    rows = [row for row in sorted(corpus.pairs) if len(corpus.entries[row].crystal) <= experiment.max_atoms]
    if experiment.data.rows is not None:
        rows = np.random.default_rng(experiment.seed).permutation(rows)[: experiment.data.rows].tolist()
    if not rows:
        raise InvalidFieldError("there is no crystal to learn from", field="data.train")
    return rows


def unvaried(lessons: LessonConfig) -> LessonConfig:
    """The same lessons for an examination: every crystal in one setting."""
    return lessons.model_copy(update={"translated": 0.0, "permuted": 0.0, "turned": 0.0})


def training_key(experiment: Experiment, corpus: Corpus, *more: str) -> str:
    """What a checkpoint has to be of; a budget may be extended, and another machine go on."""
    said = experiment.model_dump(mode="json", exclude=_ELSEWHERE, exclude_defaults=True)
    return hashlib.sha256(json.dumps([said, corpus.sha256, *more], sort_keys=True).encode()).hexdigest()
