"""One campaign at work: rounds are made while earlier ones are relaxed, until there is a reason to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import structlog

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent, CampaignFinished, RoundFinished
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage, CampaignStopReason
from crystalmesh.agent.v1.run_pb2 import RunStarted, RunState
from crystalmesh.retrieval.v1.match_pb2 import Matches
from crystalmesh_agent.campaigns.clocks import WorkClocks
from crystalmesh_agent.campaigns.evaluating import Evaluating
from crystalmesh_agent.campaigns.journal import Journal
from crystalmesh_agent.campaigns.judging import Judging
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_agent.campaigns.patience import Patience
from crystalmesh_agent.campaigns.rounds import Rounds
from crystalmesh_agent.campaigns.starting_points import StartingPoints
from crystalmesh_agent.campaigns.wishes import Wishes
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_agent.planning.planner import Planner
from crystalmesh_agent.store.leases import LeaseLostError
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import as_reportable, to_status

_log = structlog.get_logger(__name__)

_RELAXED_AT_ONCE = 8
"""Candidates at the potential: enough that it has full batches, few enough that the first is soon done."""

_ROUNDS_AT_FIRST, _ROUNDS_AT_ONCE = 2, 3


@dataclass(frozen=True)
class _Round:
    """A round whose candidates are being evaluated, in the order that they are judged in."""

    number: int
    evaluations: Sequence[tuple[CampaignCandidate, asyncio.Task[Matches | None]]]


class CampaignRun:
    """Works on one campaign, from wherever it stands, to its end. Cancelled, it leaves it as it is."""

    def __init__(self, journal: Journal, mesh: CampaignMesh, planner: Planner, *, worker: str) -> None:
        self._journal = journal
        self._mesh = mesh
        self._planner = planner
        self._worker = worker

    async def to_the_end(self) -> None:
        """Work until the campaign has ended, however. Raises LeaseLostError when it is another's now."""
        campaign = self._journal.campaign
        started = RunStarted(worker=self._worker, restarted=campaign.HasField("start_time"))
        await self._journal.append(CampaignEvent(started=started))
        clocks = WorkClocks(campaign.progress)
        clocks.whole.start()
        try:
            reason = await self._work(clocks)
            finished = CampaignFinished(state=RunState.RUN_STATE_FINISHED, stop_reason=reason)
            ended = CampaignEvent(finished=finished)
        except LeaseLostError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, the campaign's record has to say so
            if not isinstance(error, CrystalMeshError):
                _log.error("campaign_failed", campaign=campaign.id, exc_info=error)
            ended = failed(error)
        ended.finished.progress.CopyFrom(clocks.progress())
        await self._journal.append(ended)

    async def _work(self, clocks: WorkClocks) -> CampaignStopReason.ValueType:
        spec = self._journal.campaign.spec
        workplace = Workplace(
            spec=spec,
            wishes=await asyncio.to_thread(Wishes, spec.target),
            journal=self._journal,
            mesh=self._mesh,
            patience=Patience(self._journal, self._mesh, clocks.whole),
            clocks=clocks,
        )
        return await _Search(workplace, self._planner).until_done()


class _Search:
    """The pipeline of one campaign."""

    def __init__(self, workplace: Workplace, planner: Planner) -> None:
        self._spec = workplace.spec
        self._journal = workplace.journal
        self._clocks = workplace.clocks
        self._points = StartingPoints(workplace)
        self._rounds = Rounds(workplace, self._points, planner)
        self._evaluating = Evaluating(workplace)
        self._judging = Judging(workplace)
        self._room = asyncio.Semaphore(_RELAXED_AT_ONCE)
        self._ready: asyncio.Queue[_Round | None] = asyncio.Queue(1)
        self._settled = set(self._journal.finished)
        # In the order of the plan, not as they come, so that a campaign stops at the same candidate again.
        self._evaluations = sum(
            evaluations_of(candidate)
            for candidate in self._journal.candidates.values()
            if candidate.round in self._settled
        )
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[Matches | None]] = set()

    async def until_done(self) -> CampaignStopReason.ValueType:
        if reason := self._spent():
            return reason
        making = asyncio.create_task(self._make(), name="making")
        judging = asyncio.create_task(self._judge(), name="judging")
        watching = asyncio.create_task(self._watch_time(), name="time")
        running = {making, judging, watching}
        try:
            while True:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in (judging, watching, making):
                    if task in done and (reason := task.result()) is not None:
                        return reason
                running -= done
        finally:
            await _end([*running, *self._tasks])

    async def _make(self) -> None:
        """Make round after round, each planned by what earlier ones came to."""
        with self._clocks.at(CampaignStage.CAMPAIGN_STAGE_RETRIEVE):
            await self._points.retrieve()
        await self._rounds.resume()
        await self._judging.resume(self._journal.candidates.values())
        for number in count(1):
            if number in self._settled:
                continue
            awaited = _settled_before(number)
            async with self._changed:
                await self._changed.wait_for(lambda: not awaited or awaited in self._settled)  # noqa: B023 -- run now
            settled = [each for each in sorted(self._settled) if each <= awaited]
            worth = await self._rounds.worth_relaxing(number, settled)
            if worth is None:
                await self._ready.put(None)
                return
            await self._ready.put(_Round(number, [(each, self._evaluate(each)) for each in worth]))

    def _evaluate(self, candidate: CampaignCandidate) -> asyncio.Task[Matches | None]:
        task = asyncio.create_task(self._in_turn(candidate))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _in_turn(self, candidate: CampaignCandidate) -> Matches | None:
        if candidate.state != CandidateState.CANDIDATE_STATE_IN_PROGRESS:
            return None  # an earlier worker has judged it
        async with self._room:
            return await self._evaluating.evaluate(candidate)

    async def _judge(self) -> CampaignStopReason.ValueType:
        """Judge what was evaluated, in the order of the plan, and say when it is enough."""
        while (current := await self._ready.get()) is not None:
            for candidate, evaluation in current.evaluations:
                known = await evaluation
                if known is not None:
                    await self._judging.judge(self._journal.candidates[candidate.id], known)
                self._evaluations += evaluations_of(self._journal.candidates[candidate.id])
                if reason := self._enough():
                    return reason
            if reason := await self._settle(current.number):
                return reason
        return self._why_no_more()

    async def _settle(self, number: int) -> CampaignStopReason.ValueType | None:
        finished = RoundFinished(round=number, progress=self._clocks.progress())
        await self._journal.append(CampaignEvent(round_finished=finished))
        async with self._changed:
            self._settled.add(number)
            self._changed.notify_all()
        return self._stagnating()

    async def _watch_time(self) -> CampaignStopReason.ValueType:
        budget = self._spec.budget.max_wall_time.ToNanoseconds() / 1e9
        while (left := budget - self._clocks.whole.seconds) > 0:  # noqa: ASYNC110 -- pauses do not count
            await asyncio.sleep(min(left, 1.0))
        return CampaignStopReason.CAMPAIGN_STOP_REASON_TIME_BUDGET

    def _spent(self) -> CampaignStopReason.ValueType | None:
        """Why there is nothing to begin with."""
        budget = self._spec.budget
        if budget.max_candidates == 0:
            return CampaignStopReason.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET
        if budget.max_wall_time.ToNanoseconds() <= self._clocks.whole.seconds * 1e9:
            return CampaignStopReason.CAMPAIGN_STOP_REASON_TIME_BUDGET
        return self._enough() or self._stagnating()

    def _enough(self) -> CampaignStopReason.ValueType | None:
        if self._journal.hits >= self._spec.hits_wanted:
            return CampaignStopReason.CAMPAIGN_STOP_REASON_HITS
        budget = self._spec.budget
        if budget.HasField("max_evaluations") and self._evaluations >= budget.max_evaluations:
            return CampaignStopReason.CAMPAIGN_STOP_REASON_EVALUATION_BUDGET
        return None

    def _stagnating(self) -> CampaignStopReason.ValueType | None:
        """The last rounds have improved nothing."""
        latest = [self._journal.finished[number] for number in sorted(self._journal.finished)]
        allowed = self._spec.max_rounds_without_progress
        if len(latest) >= allowed and not any(finished.improved for finished in latest[-allowed:]):
            return CampaignStopReason.CAMPAIGN_STOP_REASON_NO_PROGRESS
        return None

    def _why_no_more(self) -> CampaignStopReason.ValueType:
        planned = sum(
            batch.candidate_count for each in self._journal.planned.values() for batch in each.batches
        )
        if planned >= self._spec.budget.max_candidates:
            return CampaignStopReason.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET
        return CampaignStopReason.CAMPAIGN_STOP_REASON_NO_PROGRESS  # the planner sees no way on


def _settled_before(number: int) -> int:
    """The last round that has to be settled before this one is planned, 0 for none.

    Three are under way at a time, so that slow relaxations of one do not leave the potential without work;
    two at first, when the cores are wanted for the first hit.
    """
    return max(1, number - _ROUNDS_AT_ONCE) if number > _ROUNDS_AT_FIRST else 0


def failed(error: Exception) -> CampaignEvent:
    """A campaign cannot go on."""
    finished = CampaignFinished(
        state=RunState.RUN_STATE_FAILED,
        stop_reason=CampaignStopReason.CAMPAIGN_STOP_REASON_FAILED,
        failure=to_status(as_reportable(error)),
    )
    return CampaignEvent(finished=finished)


def evaluations_of(candidate: CampaignCandidate) -> int:
    """How often the potential was asked to relax it: once per step, and once for where it began."""
    return candidate.relaxation.steps + 1 if candidate.HasField("relaxation") else 0


async def _end(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
