"""The stage that predicts properties before anything is relaxed, and drops what is hopeless."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, RejectionReason
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent, CandidateScreened
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh_agent.campaigns.rejections import failure, rejection
from crystalmesh_agent.campaigns.structures import crystal_of
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_client.results import Failed

_STAGE = CampaignStage.CAMPAIGN_STAGE_SCREEN


class Screening:
    """Screens the crystals of rounds."""

    def __init__(self, workplace: Workplace) -> None:
        self._spec = workplace.spec
        self._wishes = workplace.wishes
        self._mesh = workplace.mesh
        self._patience = workplace.patience

    async def outcomes(self, candidates: Sequence[CampaignCandidate]) -> list[CampaignEvent]:
        """What models say of each, and which are dropped for it."""
        crystals = [crystal_of(candidate.generated.crystal, candidate.id) for candidate in candidates]
        if not crystals:
            return []
        found = await self._patience.ask(
            "property", lambda: self._mesh.predict(crystals, self._spec.models.property)
        )
        events: list[CampaignEvent] = []
        for candidate in candidates:
            outcome = found[candidate.id]
            if isinstance(outcome, Failed):
                events.append(failure(candidate.id, _STAGE, outcome.error))
                continue
            screened = CandidateScreened(candidate_id=candidate.id, screening=outcome)
            events.append(CampaignEvent(candidate_screened=screened))
            misses = [] if outcome.out_of_domain else self._wishes.screening_misses(outcome.values)
            if misses:
                reason = RejectionReason.REJECTION_REASON_OFF_TARGET
                events.append(rejection(candidate.id, _STAGE, reason, "; ".join(misses)))
        return events

    def most_promising_first(self, candidates: Sequence[CampaignCandidate]) -> list[CampaignCandidate]:
        """In the order in which they are worth relaxing."""
        return sorted(candidates, key=lambda candidate: -self._promise(candidate))

    def _promise(self, candidate: CampaignCandidate) -> float:
        crystal = crystal_of(candidate.generated.crystal, candidate.id)
        return self._wishes.fit(crystal, candidate.screening.values).score
