"""The first half of a round: planned, generated, checked and screened, up to what is worth relaxing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent, CampaignPlanned
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.campaigns.generating import Generating
from crystalmesh_agent.campaigns.screening import Screening
from crystalmesh_agent.campaigns.starting_points import StartingPoints
from crystalmesh_agent.campaigns.trials import trials
from crystalmesh_agent.campaigns.validating import Validating
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_agent.planning.planner import Planner, Situation

_GENERATE = CampaignStage.CAMPAIGN_STAGE_GENERATE
_VALIDATE = CampaignStage.CAMPAIGN_STAGE_VALIDATE
_SCREEN = CampaignStage.CAMPAIGN_STAGE_SCREEN
_RELAX = CampaignStage.CAMPAIGN_STAGE_RELAX

_FIRST_ROUND = 8
_ROUND = 16
"""Candidates: enough to keep two cores at the potential while the next ones are made, few enough to learn."""


class Rounds:
    """Makes rounds, one after the other, and makes those anew that were left unfinished."""

    def __init__(self, workplace: Workplace, points: StartingPoints, planner: Planner) -> None:
        self._spec = workplace.spec
        self._journal = workplace.journal
        self._clocks = workplace.clocks
        self._points = points
        self._planner = planner
        self._generating = Generating(workplace, points)
        self._validating = Validating(workplace)
        self._screening = Screening(workplace)

    async def resume(self) -> None:
        """Remember what rounds of an earlier worker have made."""
        begun = [number for number in sorted(self._journal.planned) if self._begun(_SCREEN, number)]
        for number in begun:
            await self._validating.remember(self._journal.of_round(number))

    async def worth_relaxing(self, number: int, settled: Sequence[int]) -> list[CampaignCandidate] | None:
        """The candidates of a round that are worth it, the most promising first.

        None: the planner stops, or the budget is used up by earlier rounds. What is planned depends on the
        settled rounds alone, so that a campaign repeats whatever its services' speed.
        """
        planned = self._journal.planned.get(number) or await self._plan(number, settled)
        if not planned.batches:
            return None
        await self._generate(planned)
        await self._validate(number)
        await self._screen(number)
        going = [
            candidate
            for candidate in self._journal.of_round(number)
            if candidate.HasField("screening")
            and (candidate.state != CandidateState.CANDIDATE_STATE_REJECTED or _was_relaxed(candidate))
        ]
        ordered = await asyncio.to_thread(self._screening.most_promising_first, going)
        await self._journal.begin(_RELAX, number, len(ordered))
        return ordered

    async def _plan(self, number: int, settled: Sequence[int]) -> CampaignPlanned:
        spent = sum(
            batch.candidate_count for planned in self._journal.planned.values() for batch in planned.batches
        )
        left = self._spec.budget.max_candidates - spent
        wanted = min(_FIRST_ROUND if number == 1 else _ROUND, left)
        if wanted <= 0:
            return CampaignPlanned(round=number)
        plan = await self._planner.plan(self._situation(number, wanted, settled))
        planned = CampaignPlanned(round=number, call=plan.call, batches=plan.batches)
        await self._journal.append(CampaignEvent(planned=planned))
        return self._journal.planned[number]

    def _situation(self, number: int, wanted: int, settled: Sequence[int]) -> Situation:
        over = set(settled)
        known = [candidate for candidate in self._journal.candidates.values() if candidate.round in over]
        history = trials(self._journal.planned, known, settled)
        return Situation(
            spec=self._spec,
            round=number,
            candidates_wanted=wanted,
            starting_points=self._points.now(known),
            generators=[Generator.ValueType(each) for each in self._spec.generators],
            trials=history,
            hits=sum(trial.hits for trial in history),
            planner_tokens_left=self._tokens_left(),
        )

    def _tokens_left(self) -> int:
        used = sum(
            planned.call.usage.prompt_tokens + planned.call.usage.completion_tokens
            for planned in self._journal.planned.values()
        )
        return max(0, self._spec.budget.max_planner_tokens - used)

    async def _generate(self, planned: CampaignPlanned) -> None:
        if self._begun(_VALIDATE, planned.round):
            return
        wanted = sum(batch.candidate_count for batch in planned.batches)
        await self._journal.begin(_GENERATE, planned.round, wanted)
        with self._clocks.at(_GENERATE):
            await self._journal.append(*await self._generating.samples(planned))
        await self._journal.begin(_VALIDATE, planned.round, len(self._journal.of_round(planned.round)))

    async def _validate(self, number: int) -> None:
        if self._begun(_SCREEN, number):
            return
        candidates = self._journal.of_round(number)
        with self._clocks.at(_VALIDATE):
            await self._journal.append(*await self._validating.rejections(candidates))
        await self._journal.begin(_SCREEN, number, len(self._in_progress(number)))

    async def _screen(self, number: int) -> None:
        if self._begun(_RELAX, number):
            return
        with self._clocks.at(_SCREEN):
            await self._journal.append(*await self._screening.outcomes(self._in_progress(number)))

    def _in_progress(self, number: int) -> list[CampaignCandidate]:
        return [
            candidate
            for candidate in self._journal.of_round(number)
            if candidate.state == CandidateState.CANDIDATE_STATE_IN_PROGRESS
        ]

    def _begun(self, stage: CampaignStage.ValueType, number: int) -> bool:
        return self._journal.has_begun(stage, number)


def _was_relaxed(candidate: CampaignCandidate) -> bool:
    """It was dropped later than here: by an earlier worker, when the round is made anew."""
    return candidate.rejection.stage >= _RELAX
