from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from crystalmesh.generation.v1.generation_pb2 import GenerateResponse
from crystalmesh.generation.v1.transition_pb2 import Transition
from crystalmesh_common.runtime.children.process import ChildLostError
from crystalmesh_common.runtime.errors import OutOfMemoryError
from crystalmesh_common.runtime.runner import Finished, Unfinished
from crystalmesh_generation.worker import EVERYTHING, SampleItem, WritingWorker
from crystalmesh_generation.writers.messages import Batch, Outcome
from crystalmesh_generation.writers.process import WriterProcess

Answers = Callable[[Batch], Sequence[Outcome]]


class Scripted:
    """A process that answers as it is told to; real ones are killed in `server/test_killed.py`."""

    def __init__(self, *script: Answers) -> None:
        self._script = list(script)
        self.batches: list[Batch] = []

    def work(self, batch: Batch) -> Sequence[Outcome]:
        self.batches.append(batch)
        return self._script.pop(0)(batch)

    @property
    def new(self) -> list[list[int]]:
        return [[sample.key for sample in batch.new] for batch in self.batches]


def worker_of(process: Scripted) -> WritingWorker:
    return WritingWorker(cast("WriterProcess", process))


def items(count: int, *, only_transition: bool = False) -> list[SampleItem]:
    return [SampleItem(b"request", number, 1.0, only_transition) for number in range(count)]


def going_on(batch: Batch) -> Sequence[Outcome]:
    return [""] * len(batch.keys)


def lost(_: Batch) -> Sequence[Outcome]:
    raise ChildLostError("the process died")


def full(_: Batch) -> Sequence[Outcome]:
    raise OutOfMemoryError("memory ran out")


def test_a_sample_is_sent_once() -> None:
    """What the process has already, it is told the key of; what is not wanted any more, nothing of."""
    process = Scripted(going_on, going_on)
    worker, (first, second, third) = worker_of(process), items(3)
    worker.run(EVERYTHING, [first, second])
    worker.run(EVERYTHING, [second, third])
    assert process.new == [[first.key, second.key], [third.key]]
    assert process.batches[1].keys == [second.key, third.key]


def test_after_a_loss_all_begin_again_once() -> None:
    """In a new process everything is new; what was there at two losses is given up, with a reason."""
    process = Scripted(going_on, lost, going_on, lost)
    worker, (first, second) = worker_of(process), items(2)
    worker.run(EVERYTHING, [first])
    assert worker.run(EVERYTHING, [first]) == [Unfinished()]
    worker.run(EVERYTHING, [first, second])
    gone, kept = worker.run(EVERYTHING, [first, second])
    assert isinstance(gone, ChildLostError)
    assert kept == Unfinished()
    assert process.new == [[first.key], [], [first.key, second.key], []]


def test_text_is_told_once_also_after_a_loss() -> None:
    """A transition that is written again does not repeat what its reader has."""
    whole = Transition(text="Na becomes K")
    process = Scripted(lambda _: ["Na"], lost, lambda _: ["N"], lambda _: ["Na becomes"], lambda _: [whole])
    worker, asked = worker_of(process), items(1, only_transition=True)
    answers = [worker.run(EVERYTHING, asked)[0] for _ in range(5)]
    assert answers[:4] == [Unfinished(["Na"]), Unfinished(), Unfinished([]), Unfinished([" becomes"])]
    assert answers[4] == Finished(whole, [" K"])


def test_when_memory_runs_out_half_goes_on() -> None:
    """The older half is begun again and finished, and others follow as there is room; nobody fails."""
    done = GenerateResponse()
    process = Scripted(full, going_on, lambda _: [done, ""], going_on)
    worker, (first, second, third, fourth) = worker_of(process), items(4)
    assert worker.run(EVERYTHING, [first, second, third, fourth]) == [Unfinished()] * 4
    worker.run(EVERYTHING, [first, second, third, fourth])
    assert worker.run(EVERYTHING, [first, second, third, fourth])[0] is done
    worker.run(EVERYTHING, [second, third, fourth])
    assert [list(batch.keys) for batch in process.batches[1:]] == [
        [first.key, second.key],
        [first.key, second.key],
        [second.key, third.key, fourth.key],
    ]


def test_one_sample_too_large_for_memory_fails() -> None:
    """There is nothing left to halve."""
    with pytest.raises(OutOfMemoryError):
        worker_of(Scripted(full)).run(EVERYTHING, items(1))
