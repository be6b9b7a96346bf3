from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidCrystalError, MalformedMessageError
from tests.common.runtime.jobs import Doubler, Job, JobRunner, job_runner

EXPECTED = {"": None, "told": "UNSUPPORTED_ELEMENT", "raised": "MODEL_FAILED", "memory": "OUT_OF_MEMORY"}
UNREADABLE = InvalidCrystalError("unreadable")


@dataclass(frozen=True)
class Plan:
    """What one caller does."""

    items: list[Job | CrystalMeshError]
    key: str
    out_of_time: bool
    leaves_after: int | None  # outcomes after which it goes away
    breaks_at: int | None  # item at which drawing fails


jobs = st.builds(
    Job,
    number=st.integers(0, 1000),
    cost=st.sampled_from([0.0, 0.5, 1.0, 3.0, 9.0]),
    fails=st.sampled_from(["", "", "", "", "told", "raised", "memory"]),
)
plans = st.builds(
    Plan,
    items=st.lists(jobs | st.just(UNREADABLE), max_size=40),
    key=st.sampled_from(["a", "b"]),
    out_of_time=st.sampled_from([False, False, True]),
    leaves_after=st.none() | st.integers(0, 10),
    breaks_at=st.none() | st.none() | st.integers(0, 40),
)


def expected(item: Job | CrystalMeshError, plan: Plan) -> set[str | None]:
    """The reasons with which an item may end; None for a number."""
    if isinstance(item, CrystalMeshError):
        return {item.reason}
    return {"DEADLINE_EXCEEDED"} if plan.out_of_time else {EXPECTED[item.fails]}


async def follow(runner: JobRunner, plan: Plan) -> None:
    """Be the caller, and check all that comes."""

    async def source() -> AsyncIterator[Job | CrystalMeshError]:
        for position, item in enumerate(plan.items):
            if position == plan.breaks_at:
                raise MalformedMessageError("broken")
            yield item

    breaks = plan.breaks_at is not None and plan.breaks_at < len(plan.items)
    seen: Counter[int] = Counter()
    left = broke = False
    stream = runner.stream(plan.key, source(), seconds=0 if plan.out_of_time else None)
    try:
        async for index, outcome in stream:
            seen[index] += 1
            item = plan.items[index]
            reason = outcome.reason if isinstance(outcome, CrystalMeshError) else None
            assert reason in expected(item, plan)
            if isinstance(item, Job) and reason is None:
                assert outcome == 2 * item.number
            if plan.leaves_after is not None and len(seen) >= plan.leaves_after:
                left = True
                break
    except MalformedMessageError:
        broke = True
    finally:
        await stream.aclose()
    assert set(seen.values()) <= {1}
    assert broke or left or not breaks
    if not (left or broke):
        assert seen.keys() == set(range(len(plan.items)))


async def run_all(crowd: list[Plan], max_batch_cost: float) -> None:
    worker = Doubler()
    runner = job_runner(worker, max_batch_cost=max_batch_cost)
    await runner.start()
    await asyncio.gather(*(follow(runner, plan) for plan in crowd))
    # Nothing is left behind: a further call finds an empty queue.
    assert await anext(runner.stream("a", _one())) == (0, 2)
    await runner.stop()
    assert not runner._tickets


async def _one() -> AsyncIterator[Job]:
    yield Job(1)


@given(crowd=st.lists(plans, max_size=6), max_batch_cost=st.sampled_from([1.0, 4.0, 64.0]))
@settings(max_examples=60, deadline=None)
def test_every_item_gets_exactly_one_outcome(crowd: list[Plan], max_batch_cost: float) -> None:
    """Whoever else calls, fails, breaks off or runs out of time: one right outcome per item, none twice."""
    with capture_logs():  # printing every failure takes longer than failing
        asyncio.run(run_all(crowd, max_batch_cost))
