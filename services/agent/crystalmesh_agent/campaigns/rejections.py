"""Why candidates are dropped, as events."""

from __future__ import annotations

from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateRejection, RejectionReason
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent, CandidateRejected
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import to_status


def rejection(
    candidate_id: str, stage: CampaignStage.ValueType, reason: RejectionReason.ValueType, message: str
) -> CampaignEvent:
    """A candidate is dropped."""
    because = CandidateRejection(stage=stage, reason=reason, message=message)
    return CampaignEvent(candidate_rejected=CandidateRejected(candidate_id=candidate_id, rejection=because))


def failure(candidate_id: str, stage: CampaignStage.ValueType, error: CrystalMeshError) -> CampaignEvent:
    """A service could not do its part for a candidate."""
    event = rejection(candidate_id, stage, RejectionReason.REJECTION_REASON_SERVICE_ERROR, str(error))
    event.candidate_rejected.error.CopyFrom(to_status(error))
    return event
