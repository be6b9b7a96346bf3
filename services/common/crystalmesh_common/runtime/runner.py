"""The runner owns the devices: it admits calls, batches their items, and gives each item its outcome.

All bookkeeping happens on the event loop; a model runs on a thread of its own and never on the loop. Calls
take turns, so that one crystal does not wait behind somebody's four thousand. An item may need many batches
(a relaxation needs one a step): it stays on its device until it is done, and when it leaves, another joins.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Protocol, TypeAlias, TypeVar

import structlog

from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DeadlineExceededError,
    ModelFailedError,
    ModelLoadingError,
    OutOfMemoryError,
    QueueFullError,
    ShuttingDownError,
)
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.tickets import Started, Ticket

_log = structlog.get_logger(__name__)

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
KeyIn_contra = TypeVar("KeyIn_contra", bound=Hashable, contravariant=True)
ItemIn_contra = TypeVar("ItemIn_contra", contravariant=True)
OutcomeOut_co = TypeVar("OutcomeOut_co", covariant=True)


_REGROWTH = 1.02
"""By how much a batch may cost more than the one before, after memory ran out."""


@dataclass(frozen=True)
class Unfinished(Generic[OutcomeOut_co]):
    """What a worker answers for an item that needs another batch, with what there is to tell so far."""

    news: Sequence[OutcomeOut_co] = ()


@dataclass(frozen=True)
class Finished(Generic[OutcomeOut_co]):
    """What a worker answers for an item that has its outcome, with what there is to tell before it."""

    outcome: OutcomeOut_co | CrystalMeshError
    news: Sequence[OutcomeOut_co] = ()


Answer: TypeAlias = OutcomeOut_co | CrystalMeshError | Unfinished[OutcomeOut_co] | Finished[OutcomeOut_co]


class BatchWorker(Protocol[KeyIn_contra, ItemIn_contra, OutcomeOut_co]):
    """A loaded model. `run` and `close` are called from one thread only, `cost` from the event loop."""

    def cost(self, item: ItemIn_contra) -> float:
        """The share of a batch that `item` takes, in the unit of the runner's batch cost; cheap."""
        ...

    def run(self, key: KeyIn_contra, items: Sequence[ItemIn_contra]) -> Sequence[Answer[OutcomeOut_co]]:
        """One answer per item, in order. Items of one batch share their key (model, quantities, …)."""
        ...

    def close(self) -> None:
        """Let go of what the worker holds; nothing is asked of it afterwards."""
        ...


class RunnerState(Enum):
    """Where a runner is in its life."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


class Runner(Generic[Key, Item, Outcome]):
    """Feeds one device, or several alike, from many calls.

    `load` runs on each device's thread and returns its worker. A device takes items until their cost would
    pass `max_batch_cost`, for each key; an item that alone costs more still runs, by itself. A device that
    runs out of memory takes half as much from then on, and then slowly more again. At most
    `queued_calls` calls wait; a further one is refused at once with QueueFullError and an estimate of when
    to retry.
    """

    def __init__(
        self,
        load: Callable[[], BatchWorker[Key, Item, Outcome]],
        *,
        max_batch_cost: float,
        queued_calls: int,
        metrics: Metrics,
        name: str = "device",
        devices: int = 1,
    ) -> None:
        self._load = load
        self._max_batch_cost = max_batch_cost
        self._queued_calls = queued_calls
        self._metrics = metrics
        self._threads = [
            ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-{number}")
            for number in range(devices)
        ]
        self._tickets: deque[Ticket[Key, Item, Outcome]] = deque()
        self._work = asyncio.Event()
        self._drivers: list[asyncio.Task[None]] = []
        self._seconds_per_item = 0.05  # a moving average, for retry hints
        self.state = RunnerState.LOADING

    async def start(self) -> None:
        """Load the model and begin; raises what loading raised."""
        loop = asyncio.get_running_loop()
        try:
            workers = await asyncio.gather(
                *(loop.run_in_executor(thread, self._load) for thread in self._threads)
            )
        except BaseException:
            self.state = RunnerState.FAILED
            raise
        if self.state is RunnerState.STOPPED:  # while it was loading
            for worker in workers:
                worker.close()
            return
        self.state = RunnerState.READY
        self._metrics.ready.set(1)
        self._drivers = [
            asyncio.create_task(self._drive(worker, thread), name="runner")
            for worker, thread in zip(workers, self._threads, strict=True)
        ]

    async def stop(self) -> None:
        """Finish the batches on the devices, fail all else with ShuttingDownError, and end."""
        self.state = RunnerState.STOPPED
        self._metrics.ready.set(0)
        for ticket in self._tickets:
            ticket.end(self._ended_error())
        self._work.set()
        await asyncio.gather(*self._drivers)
        for thread in self._threads:
            thread.shutdown(wait=False)

    async def stream(
        self,
        key: Key,
        items: AsyncIterator[Item | Finished[Outcome] | CrystalMeshError],
        *,
        seconds: float | None = None,
    ) -> AsyncGenerator[tuple[int, Outcome | CrystalMeshError], None]:
        """Yield (position, outcome) of every item, in order of completion.

        Items are drawn as there is room for them; one that is finished or an error already needs no worker.
        Closing the generator, or cancelling the task that iterates it, drops what has not started.
        Items that have not started after `seconds` end with DeadlineExceededError. Raises ModelLoadingError,
        ShuttingDownError or QueueFullError before the first item is drawn.
        """
        ticket = self._admit(key, seconds)
        feeder = asyncio.create_task(self._feed(ticket, items), name="runner-feed")
        try:
            seen, total = 0, None
            while total is None or seen < total:
                event = await ticket.outcomes.get()
                if isinstance(event, int):
                    total = event
                elif isinstance(event, Exception):
                    raise event
                else:
                    index, outcome, last = event
                    seen += last
                    if isinstance(outcome, CrystalMeshError):
                        self._metrics.item_failed(outcome.reason)
                    yield index, outcome
        finally:
            feeder.cancel()
            ticket.abandon()
            self._drop_finished()

    async def _feed(
        self,
        ticket: Ticket[Key, Item, Outcome],
        items: AsyncIterator[Item | Finished[Outcome] | CrystalMeshError],
    ) -> None:
        """Draw items into the ticket; tell its reader how many there were, or what drawing them raised."""
        count = 0
        try:
            async for item in items:
                if isinstance(item, CrystalMeshError):
                    ticket.tell(count, item)
                elif isinstance(item, Finished):
                    ticket.tell(count, item.outcome)
                elif not ticket.open:
                    ticket.tell(count, self._ended_error())
                else:
                    ticket.put(count, item)
                    self._work.set()
                count += 1
                await ticket.has_room.wait()
            ticket.outcomes.put_nowait(count)
        except Exception as error:  # noqa: BLE001 -- the reader of the ticket raises it
            ticket.outcomes.put_nowait(error)
        ticket.open = False

    def _ended_error(self) -> CrystalMeshError:
        if self.state is RunnerState.STOPPED:
            return ShuttingDownError("the server is stopping", retry_after_seconds=1.0)
        return DeadlineExceededError("the deadline passed while the item waited")

    def _admit(self, key: Key, seconds: float | None) -> Ticket[Key, Item, Outcome]:
        if self.state is RunnerState.STOPPED:
            raise ShuttingDownError("the server is stopping", retry_after_seconds=1.0)
        if self.state is not RunnerState.READY:
            raise ModelLoadingError("the model is still loading", retry_after_seconds=1.0)
        self._drop_finished()
        if len(self._tickets) >= self._queued_calls:
            raise QueueFullError(
                f"{len(self._tickets)} calls wait already, the most that this server queues",
                retry_after_seconds=self._retry_hint(),
                limit=self._queued_calls,
            )
        ticket: Ticket[Key, Item, Outcome] = Ticket(key, seconds)
        self._tickets.append(ticket)
        self._observe_queue()
        return ticket

    def _drop_finished(self) -> None:
        """Forget calls with nothing left to start: done, cancelled, or out of time."""
        for ticket in self._tickets:
            if ticket.expired:
                ticket.end(self._ended_error())
        if any(ticket.finished for ticket in self._tickets):
            self._tickets = deque(ticket for ticket in self._tickets if not ticket.finished)
            self._observe_queue()

    def _retry_hint(self) -> float:
        """About when a place will be free: when the shortest of the waiting calls has had its turns."""
        turns = max(1, min(len(ticket.waiting) for ticket in self._tickets)) * len(self._tickets)
        return min(30.0, max(0.1, turns * self._seconds_per_item))

    async def _drive(self, worker: BatchWorker[Key, Item, Outcome], thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        flight: list[Started[Key, Item, Outcome]] = []
        room = self._max_batch_cost
        while self.state is RunnerState.READY:
            flight = [started for started in flight if self._still_wanted(started)]
            self._fill(flight, worker, room)
            if not flight:
                self._work.clear()
                await self._work.wait()
                continue
            # What shares the key of the one that waits longest; the others are next.
            key = flight[0].ticket.key
            batch = [started for started in flight if started.ticket.key == key]
            flight = [started for started in flight if started.ticket.key != key]
            began = time.perf_counter()
            items = [started.item for started in batch]
            ran = await loop.run_in_executor(thread, _run_batch, worker, key, items)
            self._observe_batch(len(batch), time.perf_counter() - began)
            room = self._room_after(room, ran)
            flight += [
                started for started, answer in zip(batch, ran.answers, strict=True) if _stays(started, answer)
            ]
        for started in flight:
            started.ticket.tell(started.index, self._ended_error())
        await loop.run_in_executor(thread, worker.close)

    def _room_after(self, room: float, ran: _Ran[Outcome]) -> float:
        """What the next batch may cost: half, where memory ran out; else back towards what was set."""
        if ran.out_of_memory:
            _log.warning("batches_are_halved", max_batch_cost=room / 2)
            return room / 2
        return min(self._max_batch_cost, room * _REGROWTH)

    def _still_wanted(self, started: Started[Key, Item, Outcome]) -> bool:
        if started.ticket.expired:  # asked once: it may come true at any moment, and then must be told
            started.ticket.tell(started.index, self._ended_error())
            return False
        return not started.ticket.abandoned

    def _fill(
        self,
        flight: list[Started[Key, Item, Outcome]],
        worker: BatchWorker[Key, Item, Outcome],
        max_cost: float,
    ) -> None:
        """Take one item of each call in turn while they fit; each key has a batch to fill."""
        self._drop_finished()
        room: defaultdict[Key, float] = defaultdict(lambda: max_cost)
        present: set[Key] = set()
        for started in flight:
            room[started.ticket.key] -= started.cost
            present.add(started.ticket.key)
        turns = deque(ticket for ticket in self._tickets if ticket.waiting)
        while turns:
            ticket = turns.popleft()
            index, item = ticket.waiting[0]
            cost = _cost(worker, item)
            if ticket.key in present and cost > room[ticket.key]:
                continue
            ticket.take()
            flight.append(Started(ticket, index, item, cost))
            room[ticket.key] -= cost
            present.add(ticket.key)
            # Who was served goes to the back, here and for the next batch.
            self._tickets.remove(ticket)
            self._tickets.append(ticket)
            if ticket.waiting:
                turns.append(ticket)
        self._observe_queue()

    def _observe_queue(self) -> None:
        self._metrics.queued_calls.set(len(self._tickets))
        self._metrics.queued_items.set(sum(len(ticket.waiting) for ticket in self._tickets))

    def _observe_batch(self, items: int, seconds: float) -> None:
        self._metrics.batch_items.observe(items)
        self._metrics.batch_seconds.observe(seconds)
        self._seconds_per_item += 0.1 * (seconds / items - self._seconds_per_item)


def _stays(started: Started[Key, Item, Outcome], answer: Answer[Outcome]) -> bool:
    """Pass on what came of an item; whether it needs another batch."""
    if isinstance(answer, Unfinished | Finished):
        for news in answer.news:
            started.ticket.tell(started.index, news, last=False)
    if isinstance(answer, Unfinished):
        return True
    started.ticket.tell(started.index, answer.outcome if isinstance(answer, Finished) else answer)
    return False


def _cost(worker: BatchWorker[Key, Item, Outcome], item: Item) -> float:
    """What the worker says; an item that it cannot weigh runs by itself, and there fails by itself."""
    try:
        return worker.cost(item)
    except Exception as error:  # noqa: BLE001 -- a model must not end the loop that feeds it
        _log.warning("item_without_cost", error=repr(error))
        return math.inf


@dataclass(frozen=True)
class _Ran(Generic[OutcomeOut_co]):
    """What came of a batch."""

    answers: Sequence[Answer[OutcomeOut_co]]
    out_of_memory: bool = False  # as a whole; its items then ran one by one


def _run_batch(worker: BatchWorker[Key, Item, Outcome], key: Key, items: Sequence[Item]) -> _Ran[Outcome]:
    """Run a batch on the device's thread. One that fails whole is run again item by item."""
    try:
        return _Ran(_one_outcome_each(worker.run(key, items), len(items)))
    except Exception as error:  # noqa: BLE001 -- whatever a model raises is the outcome of its items
        if len(items) == 1:
            return _Ran([_item_failure(error)])
        _log.warning("batch_failed_and_is_split", items=len(items), error=repr(error))
        answers = [_run_batch(worker, key, [item]).answers[0] for item in items]
        return _Ran(answers, out_of_memory=isinstance(error, MemoryError | OutOfMemoryError))


def _one_outcome_each(outcomes: Sequence[Answer[Outcome]], n_items: int) -> Sequence[Answer[Outcome]]:
    if len(outcomes) != n_items:
        raise ValueError(f"the model gave {len(outcomes)} outcomes for {n_items} items")
    return outcomes


def _item_failure(error: Exception) -> CrystalMeshError:
    if isinstance(error, CrystalMeshError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError("the device ran out of memory on this item")
    _log.error("item_failed", exc_info=error)
    return ModelFailedError("the model failed on this item; the operator finds the cause in the log")
