"""From events to the campaign and its candidates: the one place where the one follows from the other."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignProgress, CampaignStage
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.store.candidates import CandidateTable, Tracked
from crystalmesh_agent.store.event_log import EventLog
from crystalmesh_agent.store.evidence import Merits, candidate_from
from crystalmesh_agent.store.keys import candidate_id, crystal_sha256
from crystalmesh_agent.store.progress import Standing, add_usage, count, new_progress, take_measured
from crystalmesh_common.runtime.errors import InternalError, WrongStateError

PROJECTION = 1
"""Grows with every change of what follows from the events; older campaigns are then read anew."""

ENDED = frozenset({RunState.RUN_STATE_FINISHED, RunState.RUN_STATE_CANCELLED, RunState.RUN_STATE_FAILED})

_REACHED = {
    "candidate_screened": CampaignStage.CAMPAIGN_STAGE_RELAX,
    "candidate_relaxed": CampaignStage.CAMPAIGN_STAGE_SCORE,
    "candidate_scored": CampaignStage.CAMPAIGN_STAGE_NOVELTY,
    "candidate_ranked": CampaignStage.CAMPAIGN_STAGE_RANK,
}
"""The stage that a candidate goes to with an event; if it is rejected after all, the rejection says where."""


class ImpossibleEventError(InternalError):
    """An event that cannot follow those before it: a mistake of the worker's, and nothing is recorded."""


class Recording:
    """One transaction's work on one campaign."""

    def __init__(self, campaign: Campaign, log: EventLog, candidates: CandidateTable, merits: Merits) -> None:
        self.campaign = campaign
        self._log = log
        self._candidates = candidates
        self._merits = merits

    def expect(self, candidate_ids: Collection[str]) -> None:
        """Read at once what the next events are about."""
        self._candidates.load(candidate_ids)

    def add(self, event: CampaignEvent, subject: str | None) -> None:
        """Complete an event by what follows from those before it, write it, and draw the consequences.

        It gets the next sequence. Raises WrongStateError where the campaign's state does not allow it, and
        ImpossibleEventError.
        """
        self._check(event)
        self._complete(event)
        event.campaign_id = self.campaign.id
        event.sequence = self.campaign.last_sequence + 1
        self._log.add(event, subject)
        self.apply(event)

    def apply(self, event: CampaignEvent) -> None:
        """Draw the consequences of an event that is in the log."""
        self.campaign.last_sequence = event.sequence
        kind = event.WhichOneof("event") or ""
        if kind.startswith("candidate_"):
            self._apply_to_candidate(kind, event)
        else:
            self._apply_to_campaign(kind, event)

    def flush(self) -> None:
        self._log.flush()
        self._candidates.flush()

    def _check(self, event: CampaignEvent) -> None:
        kind, state = event.WhichOneof("event"), self.campaign.state
        if kind is None:
            raise ImpossibleEventError("an event that says nothing")
        if (kind == "created") != (self.campaign.last_sequence == 0):
            raise ImpossibleEventError("the first event of a campaign, and no other, is its creation")
        if state in ENDED:
            raise WrongStateError(f"the campaign {self.campaign.id} has ended", campaign_id=self.campaign.id)
        if state == RunState.RUN_STATE_QUEUED and kind not in ("started", "finished"):
            raise ImpossibleEventError(f"{kind} before the campaign has started")

    def _complete(self, event: CampaignEvent) -> None:
        match event.WhichOneof("event"):
            case "candidate_hit":
                hit = event.candidate_hit
                hit.candidate.CopyFrom(self._ranked(hit.candidate.id))
                hit.hits = self.campaign.progress.hits + 1
            case "round_finished":
                self._complete_progress(event.round_finished.progress)
                event.round_finished.improved = self._has_improved(event.round_finished.round)
            case "finished":
                if event.finished.state not in ENDED:
                    raise ImpossibleEventError("a campaign that finishes in a state that is no end")
                self._complete_progress(event.finished.progress)

    def _complete_progress(self, reported: CampaignProgress) -> None:
        ours = CampaignProgress()
        ours.CopyFrom(self.campaign.progress)
        take_measured(ours, reported)
        reported.CopyFrom(ours)

    def _has_improved(self, round_number: int) -> bool:
        self._log.flush()
        before = self._log.one("round_finished", f"round {round_number - 1}")
        then = CampaignProgress() if before is None else before.round_finished.progress
        now = self.campaign.progress
        return now.hits > then.hits or now.best_candidate_id != then.best_candidate_id

    def _ranked(self, ranked_id: str) -> CampaignCandidate:
        """The candidate as a hit, with its rank at this moment."""
        tracked = self._tracked(ranked_id, CandidateState.CANDIDATE_STATE_RANKED)
        candidate = self._evidence(ranked_id, self.campaign.last_sequence)
        candidate.state = CandidateState.CANDIDATE_STATE_HIT
        candidate.rank = self._candidates.rank(tracked)
        candidate.on_pareto_front = tracked.on_pareto_front
        return candidate

    def _evidence(self, of_id: str, up_to: int) -> CampaignCandidate:
        self._log.flush()
        return candidate_from(self._log.about([of_id], up_to=up_to)[of_id])

    def _tracked(self, of_id: str, state: CandidateState.ValueType) -> Tracked:
        tracked = self._candidates.get(of_id)
        if tracked is None:
            raise ImpossibleEventError(f"the campaign {self.campaign.id} has no candidate {of_id!r}")
        if tracked.standing.state != state:
            was = CandidateState.Name(tracked.standing.state)
            raise ImpossibleEventError(f"candidate {of_id} is in {was}, not in {CandidateState.Name(state)}")
        return tracked

    def _apply_to_campaign(self, kind: str, event: CampaignEvent) -> None:
        campaign = self.campaign
        match kind:
            case "created":
                campaign.spec.CopyFrom(event.created.spec)
                campaign.state = RunState.RUN_STATE_QUEUED
                campaign.create_time.CopyFrom(event.time)
                campaign.progress.CopyFrom(new_progress())
            case "started" | "resumed":
                campaign.state = RunState.RUN_STATE_RUNNING
                campaign.ClearField("pause")
                if not campaign.HasField("start_time"):
                    campaign.start_time.CopyFrom(event.time)
            case "paused":
                campaign.state = RunState.RUN_STATE_PAUSED
                campaign.pause.CopyFrom(event.paused)
            case "planned":
                campaign.progress.rounds = max(campaign.progress.rounds, event.planned.round)
                if event.planned.call.HasField("usage"):
                    add_usage(campaign.progress.planner_usage, event.planned.call.usage)
            case "round_finished":
                take_measured(campaign.progress, event.round_finished.progress)
            case "finished":
                take_measured(campaign.progress, event.finished.progress)
                campaign.state = event.finished.state
                campaign.stop_reason = event.finished.stop_reason
                campaign.ClearField("pause")
                campaign.end_time.CopyFrom(event.time)
                if event.finished.HasField("failure"):
                    campaign.failure.CopyFrom(event.finished.failure)

    def _apply_to_candidate(self, kind: str, event: CampaignEvent) -> None:
        match kind:
            case "candidate_generated":
                self._apply_generated(event)
            case "candidate_rejected":
                self._apply_rejected(event)
            case "candidate_ranked":
                self._apply_ranked(event)
            case "candidate_hit":
                before = self._tracked(
                    event.candidate_hit.candidate.id, CandidateState.CANDIDATE_STATE_RANKED
                )
                self._move(before, before.standing.stage, CandidateState.CANDIDATE_STATE_HIT)
            case _:
                of_id = getattr(event, kind).candidate_id
                before = self._tracked(of_id, CandidateState.CANDIDATE_STATE_IN_PROGRESS)
                if kind == "candidate_relaxed":
                    # One per step, and one for where it began.
                    self.campaign.progress.evaluations += event.candidate_relaxed.relaxation.steps + 1
                self._move(before, max(before.standing.stage, _REACHED[kind]), before.standing.state)

    def _apply_generated(self, event: CampaignEvent) -> None:
        made = event.candidate_generated
        if made.candidate_id != candidate_id(made.generated):
            raise ImpossibleEventError(f"{made.candidate_id!r} is not the id of what was generated")
        standing = Standing(CampaignStage.CAMPAIGN_STAGE_VALIDATE, CandidateState.CANDIDATE_STATE_IN_PROGRESS)
        crystal = crystal_sha256(made.generated.crystal)
        self._enter(Tracked(made.candidate_id, event.sequence, standing, crystal))

    def _apply_rejected(self, event: CampaignEvent) -> None:
        rejected = event.candidate_rejected
        stage, state = rejected.rejection.stage, CandidateState.CANDIDATE_STATE_REJECTED
        if stage < CampaignStage.CAMPAIGN_STAGE_GENERATE or stage not in CampaignStage.values():
            raise ImpossibleEventError("a rejection without a stage that candidates go through")
        if rejected.HasField("parse_failure"):
            if rejected.candidate_id != candidate_id(rejected.parse_failure):
                raise ImpossibleEventError(f"{rejected.candidate_id!r} is not the id of what was written")
            self._enter(Tracked(rejected.candidate_id, event.sequence, Standing(stage, state)))
        else:
            before = self._tracked(rejected.candidate_id, CandidateState.CANDIDATE_STATE_IN_PROGRESS)
            self._move(before, stage, state)

    def _apply_ranked(self, event: CampaignEvent) -> None:
        score = event.candidate_ranked.target_fit.score
        if not math.isfinite(score):
            raise ImpossibleEventError(f"a score of {score}")
        of_id, progress = event.candidate_ranked.candidate_id, self.campaign.progress
        before = self._tracked(of_id, CandidateState.CANDIDATE_STATE_IN_PROGRESS)
        merits = self._merits(self.campaign.spec, self._evidence(of_id, event.sequence))
        if not all(map(math.isfinite, merits)):
            raise ImpossibleEventError(f"merits of {merits}")
        ranked = self._move(
            replace(before, score=score, merits=tuple(merits)),
            _REACHED["candidate_ranked"],
            CandidateState.CANDIDATE_STATE_RANKED,
        )
        self._candidates.enter_front(ranked)
        best = self._candidates.get(progress.best_candidate_id) if progress.best_candidate_id else None
        if best is None or ranked.is_before(best):
            progress.best_candidate_id = of_id

    def _enter(self, candidate: Tracked) -> None:
        if self._candidates.get(candidate.id) is not None:
            raise ImpossibleEventError(f"candidate {candidate.id} is there already")
        count(self.campaign.progress, None, candidate.standing)
        self._candidates.put(candidate)

    def _move(
        self, before: Tracked, stage: CampaignStage.ValueType, state: CandidateState.ValueType
    ) -> Tracked:
        after = replace(before, standing=Standing(stage, state))
        count(self.campaign.progress, before.standing, after.standing)
        self._candidates.put(after)
        return after
