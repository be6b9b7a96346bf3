"""Items that need more than one batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from crystalmesh_common.runtime.errors import CrystalMeshError, DeadlineExceededError, ShuttingDownError
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Answer, Finished, Runner, Unfinished
from tests.conftest import eventually


@dataclass(eq=False)
class Countdown:
    """Needs `left` batches, and tells the remaining number after each; after the last, its `farewell`."""

    left: int
    farewell: str = ""


class Counter:
    """Counts items down, and notes which were together in a batch."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.batches: list[list[Countdown]] = []

    def cost(self, item: Countdown) -> float:
        return 1.0

    def run(self, key: str, items: Sequence[Countdown]) -> Sequence[Answer[str]]:
        self.batches.append(list(items))
        assert self.gate.wait(timeout=60)
        return [self._count(key, item) for item in items]

    def close(self) -> None:
        self.closed = True

    @staticmethod
    def _count(key: str, item: Countdown) -> Answer[str]:
        item.left -= 1
        if item.left > 0:
            return Unfinished([f"{key}: {item.left}"])
        return Finished(f"{key}: done", [item.farewell]) if item.farewell else f"{key}: done"


CounterRunner = Runner[str, Countdown, str]


@pytest.fixture
def worker() -> Counter:
    return Counter()


@pytest.fixture
async def runner(worker: Counter) -> AsyncIterator[CounterRunner]:
    """A runner with places for two items on its device."""
    runner: CounterRunner = Runner(lambda: worker, max_batch_cost=2, queued_calls=8, metrics=Metrics("test"))
    await runner.start()
    yield runner
    worker.gate.set()
    await runner.stop()


async def drawn(items: Iterable[Countdown]) -> AsyncIterator[Countdown]:
    for item in items:
        yield item


async def told(
    runner: CounterRunner, *items: Countdown, key: str = "key", seconds: float | None = None
) -> list[tuple[int, str | CrystalMeshError]]:
    return [outcome async for outcome in runner.stream(key, drawn(items), seconds=seconds)]


async def test_news_come_before_the_last_outcome(runner: CounterRunner) -> None:
    """What an unfinished item has to tell arrives in order, and the call ends with its last outcome."""
    assert await told(runner, Countdown(3)) == [(0, "key: 2"), (0, "key: 1"), (0, "key: done")]


async def test_news_of_the_last_batch_come_before_the_outcome(runner: CounterRunner) -> None:
    """What there is to tell together with the outcome is told, first."""
    assert await told(runner, Countdown(1, "bye"), Countdown(1)) == [
        (0, "bye"),
        (0, "key: done"),
        (1, "key: done"),
    ]


async def test_who_is_done_leaves_and_the_next_joins(runner: CounterRunner, worker: Counter) -> None:
    """An item keeps its place until it is done; the place of one that is done goes to the next."""
    long, short, next_one = Countdown(4), Countdown(1), Countdown(2)
    await told(runner, long, short, next_one)
    assert worker.batches == [[long, short], [long, next_one], [long, next_one], [long]]


async def test_items_of_other_keys_take_turns(runner: CounterRunner, worker: Counter) -> None:
    """A long item of one key does not keep the items of another from the device."""
    worker.gate.clear()
    first = asyncio.create_task(told(runner, Countdown(50)))
    await eventually(lambda: bool(worker.batches), "the long item is on the device")
    second = asyncio.create_task(told(runner, Countdown(1), key="other"))
    await eventually(lambda: len(runner._tickets) > 0, "the other call waits")
    worker.gate.set()
    assert await second == [(0, "other: done")]
    assert not first.done()
    await first


async def test_a_reader_that_leaves_takes_its_items_off_the_device(
    runner: CounterRunner, worker: Counter
) -> None:
    """After the stream is closed, what was in flight is not run again."""
    endless = Countdown(1_000_000)
    async with aclosing(runner.stream("key", drawn([endless]))) as outcomes:
        await anext(outcomes)
    await told(runner, Countdown(3))
    seen = len(worker.batches)
    await told(runner, Countdown(3))
    assert not any(endless in batch for batch in worker.batches[seen:])


async def test_the_deadline_ends_an_item_in_flight(runner: CounterRunner) -> None:
    """An item that is still counting when its call's time is over ends with that reason."""
    outcomes = await told(runner, Countdown(1_000_000_000), seconds=0.2)
    assert isinstance(outcomes[-1][1], DeadlineExceededError)


async def test_stopping_ends_what_is_in_flight(runner: CounterRunner, worker: Counter) -> None:
    """A runner that stops does not wait for long items, and each still has its last outcome."""
    call = asyncio.create_task(told(runner, Countdown(1_000_000_000)))
    await eventually(lambda: len(worker.batches) > 2, "the item is in flight")
    await runner.stop()
    assert isinstance((await call)[-1][1], ShuttingDownError)


async def test_several_devices_share_the_calls() -> None:
    """Each device loads a worker of its own, and both work on the items of one call."""
    workers = [Counter(), Counter()]
    waiting = iter(workers)
    runner: CounterRunner = Runner(
        lambda: next(waiting), max_batch_cost=1, queued_calls=8, metrics=Metrics("test"), devices=2
    )
    await runner.start()
    for worker in workers:
        worker.gate.clear()
    call = asyncio.create_task(told(runner, Countdown(1), Countdown(1), Countdown(1)))
    await eventually(lambda: all(worker.batches for worker in workers), "both are at work")
    for worker in workers:
        worker.gate.set()
    assert sorted(await call) == [(0, "key: done"), (1, "key: done"), (2, "key: done")]
    await runner.stop()
