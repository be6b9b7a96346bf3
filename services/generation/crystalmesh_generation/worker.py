"""A writer as the runner's worker: the samples of all calls side by side, a slice at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias

import structlog

from crystalmesh.generation.v1.generation_pb2 import GenerateResponse
from crystalmesh.generation.v1.transition_pb2 import Transition
from crystalmesh_common.runtime.children.process import ChildLostError
from crystalmesh_common.runtime.errors import CrystalMeshError, OutOfMemoryError
from crystalmesh_common.runtime.runner import Answer, Finished, Runner, Unfinished
from crystalmesh_generation.writers.messages import Batch, NewSample, Outcome
from crystalmesh_generation.writers.process import WriterProcess

_log = structlog.get_logger(__name__)

EVERYTHING = "everything"
"""The key of all samples, so that the ones that a runner does not list are known to be unwanted."""

_LOSSES = 2

_keys = count()


@dataclass(eq=False)
class SampleItem:
    """A sample in the runner's hands, with what has been told of it."""

    request: bytes  # as `NewSample` has it
    number: int
    cost: float  # texts
    only_transition: bool = False
    key: int = field(default_factory=lambda: next(_keys))
    told: int = 0  # characters of its transition
    losses: int = 0  # processes that died while they had it


SampleOutcome: TypeAlias = GenerateResponse | Transition | str
"""What becomes of a sample; a text is news, the next piece of its transition."""

WritingRunner: TypeAlias = Runner[str, SampleItem, SampleOutcome]


class WritingWorker:
    """Tells a process which samples are wanted, and what is new among them; it knows which the process has.

    When a process dies its samples are begun again in a new one, which writes the same. A sample that was
    there when two died is given up. When memory runs out, the younger half waits until others have finished.
    """

    def __init__(self, process: WriterProcess) -> None:
        self._process = process
        self._begun: set[int] = set()  # samples that the process has
        self._most: int | None = None  # samples that it is given at a time; None: as many as there are

    def cost(self, item: SampleItem) -> float:
        return item.cost

    def run(self, _key: str, items: Sequence[SampleItem]) -> Sequence[Answer[SampleOutcome]]:
        given, waiting = items[: self._most], items[len(items[: self._most]) :]
        begun, self._begun = self._begun, set()  # until it is known what the process has, it has nothing
        new = [
            NewSample(item.key, item.request, item.number, item.only_transition)
            for item in given
            if item.key not in begun
        ]
        try:
            outcomes = self._process.work(Batch([item.key for item in given], new))
        except ChildLostError as error:
            return [_after_loss(item, error) for item in given] + [Unfinished() for _ in waiting]
        except OutOfMemoryError:
            if len(given) == 1:
                raise
            self._most = len(given) // 2
            _log.warning("fewer_samples_at_a_time", samples=self._most)
            return [Unfinished() for _ in items]
        self._begun = {
            item.key for item, outcome in zip(given, outcomes, strict=True) if isinstance(outcome, str)
        }
        if self._most is not None:
            self._most += len(given) - len(self._begun)
        answers = [_answer(item, outcome) for item, outcome in zip(given, outcomes, strict=True)]
        return [*answers, *(Unfinished() for _ in waiting)]

    def close(self) -> None:
        self._process.close()


def _answer(item: SampleItem, outcome: Outcome) -> Answer[SampleOutcome]:
    if isinstance(outcome, CrystalMeshError | GenerateResponse):
        return outcome
    text = outcome if isinstance(outcome, str) else outcome.text
    piece = text[item.told :]
    item.told = max(item.told, len(text))
    news = [piece] if piece else []
    return Unfinished(news) if isinstance(outcome, str) else Finished(outcome, news)


def _after_loss(item: SampleItem, error: ChildLostError) -> Answer[SampleOutcome]:
    item.losses += 1
    if item.losses < _LOSSES:
        return Unfinished()
    return ChildLostError(f"{error.message}, as the one before it over this sample; more is in the log")
