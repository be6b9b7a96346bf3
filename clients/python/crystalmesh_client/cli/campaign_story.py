"""What the events of a campaign add up to, for those who watch it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crystalmesh_client.campaign_candidates import StageName
from crystalmesh_client.campaign_events import (
    CampaignEvent,
    CampaignFinished,
    CampaignPlanned,
    CandidateEvent,
    CandidateGenerated,
    CandidateHit,
    CandidateRanked,
    CandidateRejected,
    CandidateRelaxed,
    CandidateScored,
    CandidateScreened,
    RoundFinished,
    RunPaused,
    RunResumed,
    RunStarted,
)
from crystalmesh_client.campaigns import Campaign, CampaignProgress, RunStateName, StageProgress

if TYPE_CHECKING:
    from datetime import datetime

    from crystalmesh_client.properties import PropertyValue

STAGES: Sequence[StageName] = (
    "retrieve",
    "generate",
    "validate",
    "screen",
    "relax",
    "score",
    "novelty",
    "rank",
)
NOTABLE = (
    RunStarted,
    CampaignPlanned,
    CandidateHit,
    RoundFinished,
    RunPaused,
    RunResumed,
    CampaignFinished,
)
"""What is told where not every step of every candidate is."""

_NEWS = 5
_GENERATE, _RANK = STAGES.index("generate"), STAGES.index("rank")
_REACHED: Mapping[type[CampaignEvent], StageName] = {
    CandidateGenerated: "validate",
    CandidateScreened: "relax",
    CandidateRelaxed: "score",
    CandidateScored: "novelty",
    CandidateRanked: "rank",
}


class Funnel:
    """How many candidates are in each stage and came through it, between the counts of the server."""

    def __init__(self) -> None:
        self._entered = [0] * len(STAGES)
        self._passed = [0] * len(STAGES)
        self._rejected = [0] * len(STAGES)
        self._at: dict[str, int] = {}  # where candidates are that are on their way
        self._busy = [0.0] * len(STAGES)

    def reach(self, candidate_id: str, stage: StageName) -> None:
        """Count a candidate through all before this stage; in the last one it is through."""
        to = STAGES.index(stage)
        at = self._at.get(candidate_id)
        if at is None:
            at = _GENERATE
            self._entered[at] += 1
        for left in range(at, to):
            self._passed[left] += 1
            self._entered[left + 1] += 1
        self._at[candidate_id] = to
        if to == _RANK:
            self._passed[to] += 1

    def reject(self, candidate_id: str, stage: StageName) -> None:
        if stage in STAGES[_GENERATE:]:
            self.reach(candidate_id, stage)
            at = STAGES.index(stage)
            self._passed[at] -= at == _RANK
            self._rejected[at] += 1

    def correct(self, progress: CampaignProgress) -> None:
        """Take over what the server has counted, materials and times with it."""
        for counted in progress.stages:
            if counted.stage in STAGES:
                at = STAGES.index(counted.stage)
                self._entered[at], self._passed[at] = counted.entered, counted.passed
                self._rejected[at], self._busy[at] = counted.rejected, counted.busy_seconds

    def stages(self) -> list[StageProgress]:
        """All stages in order."""
        counts = zip(self._entered, self._passed, self._rejected, self._busy, strict=True)
        return [
            StageProgress(stage, entered, passed, rejected, busy)
            for stage, (entered, passed, rejected, busy) in zip(STAGES, counts, strict=True)
        ]


@dataclass(frozen=True)
class Best:
    """The best candidate so far."""

    candidate_id: str
    formula: str
    score: float
    is_hit: bool
    properties: Mapping[str, PropertyValue]


class CampaignStory:
    """A campaign as its events tell it from the first on; the counts of the server correct ours."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.state: RunStateName = "queued"
        self.waits_for = ""  # a service, while it is paused
        self.round = 0
        self.hits = 0
        self.evaluations = 0
        self.funnel = Funnel()
        self.news: deque[CampaignEvent] = deque(maxlen=_NEWS)
        self._formulas: dict[str, str] = {}
        self._properties: dict[str, Mapping[str, PropertyValue]] = {}
        self._scores: dict[str, float] = {}
        self._hits: set[str] = set()
        self._best = ""
        self._worked = 0.0
        self._last: datetime | None = None  # when the last event happened, by the server's clock
        self._heard = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time at work, as far as it can be told."""
        since = time.monotonic() - self._heard if self.state == "running" else 0.0
        return self._worked + since

    @property
    def best(self) -> Best | None:
        """The best candidate so far; None while none is ranked."""
        name = self._best
        if name not in self._scores:
            return None
        known = self._properties.get(name, {})
        return Best(name, self._formulas.get(name, ""), self._scores[name], name in self._hits, known)

    def take(self, event: CampaignEvent) -> None:
        """Draw the consequences of the next event."""
        if self.state == "running" and self._last is not None:
            self._worked += max((event.time - self._last).total_seconds(), 0.0)
        self._last, self._heard = event.time, time.monotonic()
        if isinstance(event, NOTABLE):
            self.news.append(event)
        reached = _REACHED.get(type(event))
        if isinstance(event, CandidateEvent) and reached is not None:
            self.funnel.reach(event.candidate_id, reached)
        self._take_candidate(event)
        self._take_run(event)

    def _take_candidate(self, event: CampaignEvent) -> None:
        match event:
            case CandidateGenerated():
                self._formulas[event.candidate_id] = event.formula
            case CandidateRejected():
                self.funnel.reject(event.candidate_id, event.rejection.stage)
            case CandidateRelaxed():
                self.evaluations += event.steps + 1
            case CandidateScored():
                self._properties[event.candidate_id] = event.properties
            case CandidateRanked():
                self._scores[event.candidate_id] = event.target_fit.score
                best = self._scores.get(self._best)
                if best is None or event.target_fit.score > best:
                    self._best = event.candidate_id
            case CandidateHit():
                self._hits.add(event.candidate.id)
                self.hits = event.hits

    def _take_run(self, event: CampaignEvent) -> None:
        match event:
            case RunStarted() | RunResumed():
                self.state, self.waits_for = "running", ""
            case RunPaused():
                self.state, self.waits_for = "paused", event.pause.service
            case CampaignPlanned():
                self.round = max(self.round, event.round)
            case RoundFinished():
                self._correct(event.progress)
            case CampaignFinished():
                self.state, self.waits_for = event.state, ""
                self._correct(event.progress)

    def _correct(self, progress: CampaignProgress) -> None:
        self.funnel.correct(progress)
        self.hits, self.evaluations = progress.hits, progress.evaluations
        self._worked = progress.seconds or self._worked
        self._best = progress.best_candidate_id or self._best
