"""A small real worker for the runner, with levers that tests need, and what feeds and reads it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError, UnsupportedElementError
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Finished, Runner


@dataclass(frozen=True)
class Job:
    """A number to double. `fails` says how that fails: not, as data, or by an exception."""

    number: int
    cost: float = 1.0
    fails: str = ""  # "", "told", "raised", "memory"


class Doubler:
    """Doubles numbers, and notes the batches in which it did. While `gate` is closed it stands still."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.batches: list[tuple[str, list[int]]] = []

    def cost(self, item: Job) -> float:
        return item.cost

    def run(self, key: str, items: Sequence[Job]) -> Sequence[int | CrystalMeshError]:
        self.batches.append((key, [item.number for item in items]))
        assert self.gate.wait(timeout=60)
        return [self._double(item) for item in items]

    def close(self) -> None:
        self.closed = True

    @staticmethod
    def _double(item: Job) -> int | CrystalMeshError:
        if item.fails == "told":
            return UnsupportedElementError("no such number")
        if item.fails == "raised":
            raise RuntimeError(f"a secret about {item.number}")
        if item.fails == "memory":
            raise MemoryError
        return 2 * item.number


Outcomes = list[tuple[int, int | CrystalMeshError]]
JobRunner = Runner[str, Job, int]


def job_runner(worker: Doubler, *, max_batch_cost: float = 8, queued_calls: int = 64) -> JobRunner:
    return Runner(
        lambda: worker, max_batch_cost=max_batch_cost, queued_calls=queued_calls, metrics=Metrics("test")
    )


async def drawn(items: Iterable[Job | CrystalMeshError]) -> AsyncIterator[Job | CrystalMeshError]:
    """The items, as a servicer would draw them."""
    for item in items:
        yield item


async def outcomes(
    runner: JobRunner,
    items: Iterable[Job | Finished[int] | CrystalMeshError],
    *,
    key: str = "key",
    seconds: float | None = None,
) -> Outcomes:
    """All outcomes of a call, in order of completion."""
    return [outcome async for outcome in runner.stream(key, drawn(items), seconds=seconds)]


def numbers(count: int, *, first: int = 0) -> list[Job]:
    return [Job(number) for number in range(first, first + count)]


def reasons(found: Outcomes) -> dict[int, str]:
    """The reason of every item that failed."""
    return {index: outcome.reason for index, outcome in found if isinstance(outcome, CrystalMeshError)}


MODEL_FAILED = ModelFailedError.reason
