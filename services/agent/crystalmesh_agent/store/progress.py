"""The numbers of a campaign: what its events count, and what its worker measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateState
from crystalmesh.agent.v1.campaign_pb2 import CampaignProgress, CampaignStage, StageProgress
from crystalmesh.agent.v1.run_pb2 import TokenUsage

RANKED_STATES = (CandidateState.CANDIDATE_STATE_RANKED, CandidateState.CANDIDATE_STATE_HIT)
"""Of candidates that came through all stages."""
STAGES = [stage for stage in CampaignStage.values() if stage]


@dataclass(frozen=True)
class Standing:
    """How far a candidate is."""

    stage: CampaignStage.ValueType
    """The stage that it is in, was dropped in, or left last."""
    state: CandidateState.ValueType

    @property
    def is_ranked(self) -> bool:
        return self.state in RANKED_STATES


def new_progress() -> CampaignProgress:
    return CampaignProgress(stages=[StageProgress(stage=stage) for stage in STAGES])


def count(progress: CampaignProgress, before: Standing | None, after: Standing) -> None:
    """Count a candidate that has moved; `before` is None for one that is new."""
    by_stage = {entry.stage: entry for entry in progress.stages}
    for standing, weight in ((before, -1), (after, 1)):
        if standing is None:
            continue
        for stage, outcome in _way(standing):
            entry = by_stage[stage]
            entry.entered_count += weight
            if outcome == "passed":
                entry.passed_count += weight
            elif outcome == "rejected":
                entry.rejected_count += weight
        progress.hits += weight * (standing.state == CandidateState.CANDIDATE_STATE_HIT)
    progress.candidates += before is None


def take_measured(progress: CampaignProgress, reported: CampaignProgress) -> None:
    """Take over what no event counts: times, and the materials of retrieval."""
    if reported.HasField("wall_time"):
        progress.wall_time.CopyFrom(reported.wall_time)
    by_stage = {entry.stage: entry for entry in progress.stages}
    for report in reported.stages:
        entry = by_stage.get(report.stage)
        if entry is None:
            continue
        if report.HasField("busy_time"):
            entry.busy_time.CopyFrom(report.busy_time)
        if report.stage == CampaignStage.CAMPAIGN_STAGE_RETRIEVE:
            entry.entered_count = report.entered_count
            entry.passed_count = report.passed_count
            entry.rejected_count = report.rejected_count


def add_usage(total: TokenUsage, usage: TokenUsage) -> None:
    total.prompt_tokens += usage.prompt_tokens
    total.completion_tokens += usage.completion_tokens
    if usage.HasField("cost_usd"):
        total.cost_usd += usage.cost_usd


def _way(standing: Standing) -> Iterator[tuple[CampaignStage.ValueType, str]]:
    """The stages that a candidate has been in, and what became of it there."""
    for stage in STAGES:
        if CampaignStage.CAMPAIGN_STAGE_GENERATE <= stage < standing.stage:
            yield stage, "passed"
    if standing.state == CandidateState.CANDIDATE_STATE_REJECTED:
        yield standing.stage, "rejected"
    else:
        yield standing.stage, "passed" if standing.is_ranked else "in it"
