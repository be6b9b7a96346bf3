"""What happens in campaigns of these tests."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.agent.v1.campaign_candidate_pb2 import (
    CampaignCandidate,
    CandidateRejection,
    Novelty,
    RejectionReason,
    StageModel,
    TargetFit,
)
from crystalmesh.agent.v1.campaign_event_pb2 import (
    CampaignEvent,
    CampaignFinished,
    CampaignPlanned,
    CandidateGenerated,
    CandidateHit,
    CandidateRanked,
    CandidateRejected,
    CandidateRelaxed,
    CandidateScored,
    CandidateScreened,
    RoundFinished,
    StageStarted,
)
from crystalmesh.agent.v1.campaign_pb2 import (
    CampaignProgress,
    CampaignSpec,
    CampaignStage,
    CampaignStopReason,
)
from crystalmesh.agent.v1.run_pb2 import PlannerCall, RunPaused, RunResumed, RunStarted, RunState, TokenUsage
from crystalmesh.crystal.v1.crystal_pb2 import Crystal
from crystalmesh.crystal.v1.property_pb2 import Property, PropertyValue, ValueSource
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.candidate_pb2 import (
    Candidate,
    LanguageModelOrigin,
    ParseFailure,
    SampleOrigin,
)
from crystalmesh.property.v1.prediction_pb2 import Prediction
from crystalmesh.relaxation.v1.relaxation_pb2 import Relaxation
from crystalmesh.stability.v1.hull_pb2 import HullDistance
from crystalmesh_agent.store.keys import candidate_id

_NITRIDE = [7, 13]


def spec(name: str = "a nitride", *, seed: int = 0) -> CampaignSpec:
    return CampaignSpec(
        display_name=name, target=Target(required_elements=_NITRIDE), hits_wanted=3, seed=seed
    )


def crystal(number: int) -> Crystal:
    """Another crystal for each number."""
    return Crystal(
        id=f"sample-{number}",
        cell_angstrom=[3.0 + number / 1000, 0, 0, 0, 3.0, 0, 0, 0, 3.0],
        atomic_numbers=_NITRIDE,
        fractional_coordinates=[0, 0, 0, 0.5, 0.5, 0.5],
    )


def sample(number: int) -> Candidate:
    origin = LanguageModelOrigin(model="tiny", model_version="1", temperature=0.7)
    return Candidate(
        crystal=crystal(number),
        alx_text=f"{3.0 + number / 1000} 3.0 3.0\n90 90 90\nN 0.00 0.00 0.00\nAl 0.50 0.50 0.50",
        origin=SampleOrigin(language_model=origin, seed=number),
    )


def id_of(number: int) -> str:
    return candidate_id(sample(number))


def started() -> CampaignEvent:
    return CampaignEvent(started=RunStarted(worker="tests"))


def planned(round_number: int) -> CampaignEvent:
    call = PlannerCall(planner="bandit", usage=TokenUsage(prompt_tokens=10, completion_tokens=2))
    return CampaignEvent(planned=CampaignPlanned(round=round_number, call=call))


def stage_started(round_number: int = 1) -> CampaignEvent:
    stage = CampaignStage.CAMPAIGN_STAGE_RELAX
    return CampaignEvent(stage_started=StageStarted(stage=stage, round=round_number, candidate_count=8))


def generated(number: int, *, round_number: int = 1) -> CampaignEvent:
    made = CandidateGenerated(candidate_id=id_of(number), round=round_number, generated=sample(number))
    return CampaignEvent(candidate_generated=made)


def rejected(number: int, stage: CampaignStage.ValueType) -> CampaignEvent:
    reason = RejectionReason.REJECTION_REASON_OFF_TARGET
    rejection = CandidateRejection(stage=stage, reason=reason, message="off by a mile")
    return CampaignEvent(
        candidate_rejected=CandidateRejected(candidate_id=id_of(number), rejection=rejection)
    )


def unparsable(number: int) -> CampaignEvent:
    failure = ParseFailure(alx_text=f"nonsense {number}", origin=SampleOrigin(seed=number))
    rejection = CandidateRejection(
        stage=CampaignStage.CAMPAIGN_STAGE_GENERATE, reason=RejectionReason.REJECTION_REASON_PARSE_FAILURE
    )
    return CampaignEvent(
        candidate_rejected=CandidateRejected(
            candidate_id=candidate_id(failure), rejection=rejection, parse_failure=failure
        )
    )


def screened(number: int) -> CampaignEvent:
    value = PropertyValue(
        property=Property.PROPERTY_BAND_GAP_EV, value=2.5, source=ValueSource(name="gap", version="3")
    )
    return CampaignEvent(
        candidate_screened=CandidateScreened(candidate_id=id_of(number), screening=Prediction(values=[value]))
    )


def relaxed(number: int, *, steps: int = 9) -> CampaignEvent:
    model = StageModel(stage=CampaignStage.CAMPAIGN_STAGE_RELAX, model="chgnet", version="0.3.0")
    relaxation = Relaxation(crystal=crystal(number), converged=True, steps=steps)
    return CampaignEvent(
        candidate_relaxed=CandidateRelaxed(candidate_id=id_of(number), relaxation=relaxation, model=model)
    )


def scored(number: int) -> CampaignEvent:
    distance = HullDistance(energy_above_hull_ev_per_atom=0.01)
    return CampaignEvent(candidate_scored=CandidateScored(candidate_id=id_of(number), hull_distance=distance))


def ranked(number: int, score: float) -> CampaignEvent:
    fit = TargetFit(fulfilled=score == 1.0, score=score)
    novelty = Novelty(new_to_catalog=True, first_in_campaign=True)
    return CampaignEvent(
        candidate_ranked=CandidateRanked(candidate_id=id_of(number), novelty=novelty, target_fit=fit)
    )


def hit(number: int) -> CampaignEvent:
    return CampaignEvent(candidate_hit=CandidateHit(candidate=CampaignCandidate(id=id_of(number))))


def to_rank(number: int, score: float) -> Sequence[CampaignEvent]:
    """All the way of a candidate."""
    return [generated(number), screened(number), relaxed(number), scored(number), ranked(number, score)]


def round_finished(round_number: int, progress: CampaignProgress | None = None) -> CampaignEvent:
    return CampaignEvent(round_finished=RoundFinished(round=round_number, progress=progress))


def paused() -> CampaignEvent:
    return CampaignEvent(paused=RunPaused(service="relaxation"))


def resumed() -> CampaignEvent:
    return CampaignEvent(resumed=RunResumed(service="relaxation"))


def finished() -> CampaignEvent:
    reason = CampaignStopReason.CAMPAIGN_STOP_REASON_NO_PROGRESS
    return CampaignEvent(finished=CampaignFinished(state=RunState.RUN_STATE_FINISHED, stop_reason=reason))
