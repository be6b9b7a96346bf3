from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Finished, Runner, RunnerState
from crystalmesh_common.runtime.tickets import MAX_WAITING_ITEMS
from tests.common.runtime.jobs import (
    MODEL_FAILED,
    Doubler,
    Job,
    JobRunner,
    Outcomes,
    drawn,
    job_runner,
    numbers,
    outcomes,
    reasons,
)
from tests.conftest import eventually


@pytest.fixture
def worker() -> Doubler:
    return Doubler()


@pytest.fixture
async def runner(worker: Doubler) -> AsyncIterator[JobRunner]:
    """A runner that has loaded its worker: batches of cost 8, places for 64 calls."""
    async for started in _running(job_runner(worker), worker):
        yield started


@pytest.fixture
async def one_by_one(worker: Doubler) -> AsyncIterator[JobRunner]:
    """The same with batches of one item."""
    async for started in _running(job_runner(worker, max_batch_cost=1), worker):
        yield started


@pytest.fixture
async def narrow(worker: Doubler) -> AsyncIterator[JobRunner]:
    """The same with batches of one item and a place for one call."""
    async for started in _running(job_runner(worker, max_batch_cost=1, queued_calls=1), worker):
        yield started


async def _running(runner: JobRunner, worker: Doubler) -> AsyncIterator[JobRunner]:
    await runner.start()
    yield runner
    worker.gate.set()
    await runner.stop()


async def busy(runner: JobRunner, worker: Doubler) -> asyncio.Task[Outcomes]:
    """A call of one item that stands on the device until the gate opens."""
    worker.gate.clear()
    batches = len(worker.batches)
    call = asyncio.create_task(outcomes(runner, [Job(-1)]))
    await eventually(lambda: len(worker.batches) > batches, "the device is busy")
    await eventually(lambda: all(ticket.finished for ticket in runner._tickets), "nothing else waits")
    return call


def waiting(runner: JobRunner) -> int:
    """Items that have not started."""
    return sum(len(ticket.waiting) for ticket in runner._tickets)


def gauge(runner: JobRunner, name: str) -> float:
    return runner._metrics.registry.get_sample_value(name, {"service": "test"}) or 0.0


async def test_every_item_has_its_outcome_at_its_position(runner: JobRunner) -> None:
    """Outcomes carry the position of their item."""
    assert sorted(await outcomes(runner, numbers(50))) == [(number, 2 * number) for number in range(50)]


async def test_a_call_without_items_ends(runner: JobRunner) -> None:
    """Nothing in, nothing out."""
    assert await outcomes(runner, []) == []


async def test_batches_fill_up_to_their_cost(runner: JobRunner, worker: Doubler) -> None:
    """Items share a batch until their cost would pass its limit; one that alone costs more runs by itself."""
    first = await busy(runner, worker)
    call = asyncio.create_task(
        outcomes(runner, [Job(0, 3), Job(1, 3), Job(2, 3), Job(3, 100), Job(4, 8), Job(5, 1)])
    )
    await eventually(lambda: waiting(runner) == 6, "all drawn")
    worker.gate.set()
    await asyncio.gather(first, call)
    assert [batch for _, batch in worker.batches[1:]] == [[0, 1], [2], [3], [4], [5]]


async def test_calls_of_another_key_never_share_a_batch(runner: JobRunner, worker: Doubler) -> None:
    """Items are batched with items of the same key only."""
    first = await busy(runner, worker)
    calls = [
        asyncio.create_task(outcomes(runner, numbers(4, first=10 * position), key=key))
        for position, key in enumerate(("a", "b", "a", "b"))
    ]
    await eventually(lambda: waiting(runner) == 16, "all drawn")
    worker.gate.set()
    await asyncio.gather(first, *calls)
    ours = {"a": {0, 1, 2, 3, 20, 21, 22, 23}, "b": {10, 11, 12, 13, 30, 31, 32, 33}}
    assert all(set(batch) <= ours[key] for key, batch in worker.batches[1:])
    assert [key for key, _ in worker.batches[1:]] == ["a", "b"]


async def test_calls_take_turns(one_by_one: JobRunner, worker: Doubler) -> None:
    """A call of two items does not wait behind a call of a hundred."""
    first = await busy(one_by_one, worker)
    many = asyncio.create_task(outcomes(one_by_one, numbers(100)))
    await eventually(lambda: waiting(one_by_one) == 100, "the long call waits")
    few = asyncio.create_task(outcomes(one_by_one, numbers(2, first=1000)))
    await eventually(lambda: waiting(one_by_one) == 102, "the short call waits")
    worker.gate.set()
    await asyncio.gather(first, many, few)
    order = [number for _, (number,) in worker.batches]
    assert order.index(1001) <= 5


async def test_a_batch_is_shared_by_turns(runner: JobRunner, worker: Doubler) -> None:
    """Within a batch, too, calls take turns."""
    first = await busy(runner, worker)
    calls = []
    for start in (0, 10, 20):
        calls.append(asyncio.create_task(outcomes(runner, numbers(8, first=start))))
        await eventually(lambda: waiting(runner) == 8 * len(calls), "its items wait")
    worker.gate.set()
    await asyncio.gather(first, *calls)
    assert worker.batches[1][1] == [0, 10, 20, 1, 11, 21, 2, 12]


async def test_a_failing_item_fails_alone(runner: JobRunner, worker: Doubler) -> None:
    """A batch that raises is run again item by item, and only the culprit fails, telling nothing."""
    items = [Job(0), Job(1, fails="raised"), Job(2), Job(3, fails="told"), Job(4, fails="memory")]
    found = dict(await outcomes(runner, items))
    assert {index for index, outcome in found.items() if isinstance(outcome, int)} == {0, 2}
    assert reasons(list(found.items())) == {1: MODEL_FAILED, 3: "UNSUPPORTED_ELEMENT", 4: "OUT_OF_MEMORY"}
    assert "secret" not in str(found[1])
    assert sorted(await outcomes(runner, numbers(2))) == [(0, 0), (1, 2)]


async def test_an_item_that_is_settled_already_is_its_own_outcome(runner: JobRunner, worker: Doubler) -> None:
    """What could not be read, or is known, is reported at its position and never reaches the device."""
    error = errors.InvalidCrystalError("no crystal")
    found = await outcomes(runner, [Job(0), error, Job(2), Finished(7)])
    assert dict(found) == {0: 0, 1: error, 2: 4, 3: 7}
    assert sorted(number for _, batch in worker.batches for number in batch) == [0, 2]


async def test_an_error_while_drawing_items_ends_the_call_with_it(runner: JobRunner) -> None:
    """What the source of items raises reaches the reader, and the runner goes on."""

    async def broken() -> AsyncIterator[Job]:
        yield Job(0)
        raise errors.MalformedMessageError("in the middle")

    with pytest.raises(errors.MalformedMessageError):
        _ = [outcome async for outcome in runner.stream("key", broken())]
    assert await outcomes(runner, [Job(1)]) == [(0, 2)]


async def test_a_full_queue_refuses_at_once_with_a_hint(narrow: JobRunner, worker: Doubler) -> None:
    """Beyond the limit a call is refused before an item is drawn, and told when to retry."""
    admitted = [await busy(narrow, worker), asyncio.create_task(outcomes(narrow, numbers(3)))]
    await eventually(lambda: waiting(narrow) == 3, "the place is taken")
    touched: list[Job] = []

    async def items() -> AsyncIterator[Job]:
        touched.append(Job(0))
        yield Job(0)

    with pytest.raises(errors.QueueFullError) as refused:
        await anext(narrow.stream("key", items()))
    assert refused.value.retry_after_seconds is not None
    assert 0 < refused.value.retry_after_seconds <= 30
    assert refused.value.details == {"limit": "1"}
    assert not touched
    worker.gate.set()
    assert len((await asyncio.gather(*admitted))[1]) == 3
    assert await outcomes(narrow, [Job(1)]) == [(0, 2)]


async def test_a_cancelled_call_frees_its_place(narrow: JobRunner, worker: Doubler) -> None:
    """Cancelling the reader drops what has not started, and the next call takes the place."""
    first = await busy(narrow, worker)
    left = asyncio.create_task(outcomes(narrow, numbers(5, first=100)))
    await eventually(lambda: waiting(narrow) == 5, "it waits")
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    assert gauge(narrow, "crystalmesh_queued_calls") == 0  # while the device is still busy
    assert gauge(narrow, "crystalmesh_queued_items") == 0
    next_call = asyncio.create_task(outcomes(narrow, [Job(7)]))
    worker.gate.set()
    assert await next_call == [(0, 14)]
    await first
    assert not any(number >= 100 for _, batch in worker.batches for number in batch)


async def test_closing_the_stream_early_drops_the_rest(one_by_one: JobRunner, worker: Doubler) -> None:
    """After `aclose` nothing more of the call is run."""
    stream = one_by_one.stream("key", drawn(numbers(200)))
    async with aclosing(stream):
        assert await anext(stream) == (0, 0)
        worker.gate.clear()
    worker.gate.set()
    ran = len(worker.batches)
    assert await outcomes(one_by_one, [Job(1000)]) == [(0, 2000)]
    # At most the item that was on the device already, and ours.
    assert len(worker.batches) <= ran + 2
    assert gauge(one_by_one, "crystalmesh_queued_calls") == 0


async def test_items_out_of_time_are_dropped_and_say_so(runner: JobRunner, worker: Doubler) -> None:
    """What has not started by the deadline ends with DEADLINE_EXCEEDED and never runs."""
    assert reasons(await outcomes(runner, numbers(3), seconds=0)) == dict.fromkeys(
        range(3), "DEADLINE_EXCEEDED"
    )
    assert not worker.batches


async def test_a_deadline_that_passes_in_the_queue_drops_the_item(runner: JobRunner, worker: Doubler) -> None:
    """Items that wait behind a slow batch for too long are not run after it."""
    first = await busy(runner, worker)
    late = asyncio.create_task(outcomes(runner, numbers(2), seconds=0.001))
    await eventually(lambda: waiting(runner) == 2, "they wait")
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.01
    await eventually(lambda: loop.time() > end, "the deadline passes")
    worker.gate.set()
    assert reasons(await late) == {0: "DEADLINE_EXCEEDED", 1: "DEADLINE_EXCEEDED"}
    await first
    assert len(worker.batches) == 1


async def test_items_are_drawn_only_as_there_is_room(one_by_one: JobRunner, worker: Doubler) -> None:
    """A call of thousands holds at most MAX_WAITING_ITEMS ready, and all of them come out in the end."""
    count = 3 * MAX_WAITING_ITEMS
    given: list[int] = []

    async def source() -> AsyncIterator[Job]:
        for number in range(count):
            given.append(number)
            yield Job(number)

    async def read() -> Outcomes:
        return [outcome async for outcome in one_by_one.stream("key", source())]

    worker.gate.clear()
    call = asyncio.create_task(read())
    await eventually(lambda: len(given) >= MAX_WAITING_ITEMS, "the room is full")
    for _ in range(200):  # turns of the loop in which a source without bounds would run on
        await asyncio.sleep(0)
    assert len(given) <= MAX_WAITING_ITEMS + 1
    worker.gate.set()
    assert sorted(await call) == [(number, 2 * number) for number in range(count)]


async def test_stopping_fails_what_waits_and_finishes_what_runs(worker: Doubler) -> None:
    """The batch on the device ends well; waiting items and new calls get SHUTTING_DOWN."""
    runner = job_runner(worker, max_batch_cost=1)
    await runner.start()
    running = await busy(runner, worker)
    late = asyncio.create_task(outcomes(runner, numbers(400)))  # more than are drawn at once
    await eventually(lambda: waiting(runner) == MAX_WAITING_ITEMS, "they wait")
    stopping = asyncio.create_task(runner.stop())
    await eventually(lambda: runner.state is RunnerState.STOPPED, "it stops")
    with pytest.raises(errors.ShuttingDownError):
        await outcomes(runner, [Job(1)])
    worker.gate.set()
    await stopping
    assert await running == [(0, -2)]
    assert reasons(await late) == dict.fromkeys(range(400), "SHUTTING_DOWN")


async def test_while_loading_calls_are_told_to_come_back() -> None:
    """Before the model is there a call fails with MODEL_LOADING and a hint."""
    release = threading.Event()

    def load() -> Doubler:
        assert release.wait(timeout=60)
        return Doubler()

    runner: JobRunner = Runner(load, max_batch_cost=1, queued_calls=1, metrics=Metrics("test"))
    starting = asyncio.create_task(runner.start())
    await asyncio.sleep(0)
    with pytest.raises(errors.ModelLoadingError) as refused:
        await outcomes(runner, [Job(1)])
    assert refused.value.retry_after_seconds
    assert gauge(runner, "crystalmesh_ready") == 0
    release.set()
    await starting
    assert gauge(runner, "crystalmesh_ready") == 1
    assert await outcomes(runner, [Job(1)]) == [(0, 2)]
    await runner.stop()
    assert gauge(runner, "crystalmesh_ready") == 0


async def test_a_runner_stopped_while_loading_stays_stopped() -> None:
    """A load that ends after the stop does not bring the runner back."""
    release = threading.Event()

    def load() -> Doubler:
        assert release.wait(timeout=60)
        return Doubler()

    runner: JobRunner = Runner(load, max_batch_cost=1, queued_calls=1, metrics=Metrics("test"))
    starting = asyncio.create_task(runner.start())
    await asyncio.sleep(0)
    await runner.stop()
    release.set()
    await starting
    assert runner.state is RunnerState.STOPPED
    with pytest.raises(errors.ShuttingDownError):
        await outcomes(runner, [Job(1)])


async def test_a_model_that_cannot_be_loaded_fails_the_start() -> None:
    """What loading raises, `start` raises, and no call is admitted afterwards."""

    def load() -> Doubler:
        raise FileNotFoundError("weights")

    runner: JobRunner = Runner(load, max_batch_cost=1, queued_calls=1, metrics=Metrics("test"))
    with pytest.raises(FileNotFoundError):
        await runner.start()
    assert runner.state is RunnerState.FAILED
    with pytest.raises(errors.UnavailableError):
        await outcomes(runner, [Job(1)])
    await runner.stop()


class Miscounter(Doubler):
    """Forgets the outcome of the item 13."""

    def run(self, key: str, items: Sequence[Job]) -> Sequence[int | CrystalMeshError]:
        return super().run(key, [item for item in items if item.number != 13])


class Unweighable(Doubler):
    """Cannot weigh the item 13, and cannot run it either."""

    def cost(self, item: Job) -> float:
        if item.number == 13:
            raise OverflowError("too heavy to weigh")
        return super().cost(item)

    def run(self, key: str, items: Sequence[Job]) -> Sequence[int | CrystalMeshError]:
        if any(item.number == 13 for item in items):
            raise OverflowError("too heavy to run")
        return super().run(key, items)


@pytest.mark.parametrize("faulty", [Miscounter, Unweighable])
async def test_a_faulty_model_fails_its_item_and_not_the_loop(faulty: type[Doubler]) -> None:
    """Too few outcomes, or a cost that raises, fail the item; everybody else is served, then and later."""
    runner = job_runner(faulty())
    await runner.start()
    found = await outcomes(runner, [Job(12), Job(13), Job(14)])
    assert reasons(found) == {1: MODEL_FAILED}
    assert dict(found)[2] == 28
    assert await outcomes(runner, [Job(1)]) == [(0, 2)]
    await runner.stop()


async def test_where_memory_runs_out_batches_are_halved(worker: Doubler) -> None:
    """A batch that is too large runs item by item, the next ones are half as large, and none is lost."""

    class Cramped(Doubler):
        def run(self, key: str, items: Sequence[Job]) -> Sequence[int | CrystalMeshError]:
            if len(items) > 2:
                self.batches.append((key, [item.number for item in items]))
                raise MemoryError
            return super().run(key, items)

    cramped = Cramped()
    cramped.gate.clear()
    runner = job_runner(cramped, max_batch_cost=8)
    await runner.start()
    try:
        call = asyncio.create_task(outcomes(runner, numbers(20)))
        await eventually(
            lambda: runner._tickets[0].open is False if runner._tickets else False, "all are drawn"
        )
        cramped.gate.set()
        found = await call
    finally:
        await runner.stop()
    assert sorted(found) == [(number, 2 * number) for number in range(20)]
    too_large = [len(batch) for _, batch in cramped.batches if len(batch) > 2]
    assert too_large == sorted(too_large, reverse=True)
    assert len(too_large) == len(set(too_large)) <= 3


async def test_a_stopped_runner_closes_its_worker(worker: Doubler) -> None:
    """What a worker holds is let go of once its last batch is done."""
    runner = job_runner(worker)
    await runner.start()
    assert not worker.closed
    await runner.stop()
    assert worker.closed


async def test_gauges_are_back_at_zero_when_idle(runner: JobRunner) -> None:
    """Queue gauges count what waits, which is nothing once all calls have ended."""
    await asyncio.gather(*(outcomes(runner, numbers(5)) for _ in range(10)))
    assert gauge(runner, "crystalmesh_queued_calls") == 0
    assert gauge(runner, "crystalmesh_queued_items") == 0
    assert runner._metrics.registry.get_sample_value("crystalmesh_batch_items_sum", {"service": "test"}) == 50
