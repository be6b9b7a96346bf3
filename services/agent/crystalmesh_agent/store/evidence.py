"""A candidate as its events tell it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState, StageModel
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec, CampaignStage


class Merits(Protocol):
    """How well a ranked candidate does by each wish of the target, larger being better.

    The same number of finite values for all candidates of a campaign, and the same whenever it is asked.
    """

    def __call__(self, spec: CampaignSpec, candidate: CampaignCandidate, /) -> Sequence[float]: ...


def merit_is_score(_spec: CampaignSpec, candidate: CampaignCandidate) -> Sequence[float]:
    """One wish: the score."""
    return (candidate.target_fit.score,)


def candidate_from(events: Iterable[CampaignEvent]) -> CampaignCandidate:
    """The candidate that these events, all its own and in order, are about; without rank and front."""
    candidate = CampaignCandidate(state=CandidateState.CANDIDATE_STATE_IN_PROGRESS)
    for event in events:
        candidate.campaign_id = event.campaign_id
        add_evidence(candidate, event)
    return candidate


def add_evidence(candidate: CampaignCandidate, event: CampaignEvent) -> None:
    """Take over what an event of its own says of a candidate."""
    match event.WhichOneof("event"):
        case "candidate_generated":
            made = event.candidate_generated
            candidate.id, candidate.round = made.candidate_id, made.round
            if made.HasField("starting_material"):
                candidate.starting_material.CopyFrom(made.starting_material)
            candidate.generated.CopyFrom(made.generated)
            language_model = made.generated.origin.language_model
            if language_model.model:
                _add_model(
                    candidate,
                    CampaignStage.CAMPAIGN_STAGE_GENERATE,
                    language_model.model,
                    language_model.model_version,
                )
        case "candidate_rejected":
            candidate.id = event.candidate_rejected.candidate_id
            candidate.state = CandidateState.CANDIDATE_STATE_REJECTED
            candidate.rejection.CopyFrom(event.candidate_rejected.rejection)
        case "candidate_screened":
            candidate.screening.CopyFrom(event.candidate_screened.screening)
            sources = {(value.source.name, value.source.version) for value in candidate.screening.values}
            for name, version in sorted(sources):
                _add_model(candidate, CampaignStage.CAMPAIGN_STAGE_SCREEN, name, version)
        case "candidate_relaxed":
            candidate.relaxation.CopyFrom(event.candidate_relaxed.relaxation)
            candidate.models.append(event.candidate_relaxed.model)
        case "candidate_scored":
            candidate.hull_distance.CopyFrom(event.candidate_scored.hull_distance)
            candidate.properties.extend(event.candidate_scored.properties)
        case "candidate_ranked":
            candidate.state = CandidateState.CANDIDATE_STATE_RANKED
            candidate.novelty.CopyFrom(event.candidate_ranked.novelty)
            candidate.target_fit.CopyFrom(event.candidate_ranked.target_fit)
        case "candidate_hit":
            candidate.state = CandidateState.CANDIDATE_STATE_HIT


def _add_model(
    candidate: CampaignCandidate, stage: CampaignStage.ValueType, model: str, version: str
) -> None:
    candidate.models.append(StageModel(stage=stage, model=model, version=version))
