"""The stage that drops what needs no model to be dropped: impossible, off target, made before, or known."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState, RejectionReason
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh_agent.campaigns.rejections import rejection
from crystalmesh_agent.campaigns.structures import KnownStructures, crystal_of
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_client.results import Failed

_STAGE = CampaignStage.CAMPAIGN_STAGE_VALIDATE


class Validating:
    """Checks the crystals of rounds, in order, against all that were made before."""

    def __init__(self, workplace: Workplace) -> None:
        self._spec = workplace.spec
        self._wishes = workplace.wishes
        self._mesh = workplace.mesh
        self._patience = workplace.patience
        self._made = KnownStructures()

    async def remember(self, earlier: Sequence[CampaignCandidate]) -> None:
        """Crystals of rounds that were checked already, in order; what is like them will be a duplicate."""
        for candidate in earlier:
            if _came_through(candidate):
                await self._made.add(candidate.id, crystal_of(candidate.generated.crystal, candidate.id))

    async def rejections(self, candidates: Sequence[CampaignCandidate]) -> list[CampaignEvent]:
        """Which of a round's crystals are dropped, in order."""
        events: list[CampaignEvent] = []
        new: list[CampaignCandidate] = []
        for candidate in candidates:
            event = _impossible(candidate) or self._off_target(candidate) or await self._duplicate(candidate)
            if event is None:
                new.append(candidate)
            else:
                events.append(event)
        return [*events, *await self._known(new)]

    def _off_target(self, candidate: CampaignCandidate) -> CampaignEvent | None:
        misses = self._wishes.composition_misses(crystal_of(candidate.generated.crystal, candidate.id))
        if not misses:
            return None
        reason = RejectionReason.REJECTION_REASON_OFF_TARGET
        return rejection(candidate.id, _STAGE, reason, "; ".join(misses))

    async def _duplicate(self, candidate: CampaignCandidate) -> CampaignEvent | None:
        crystal = crystal_of(candidate.generated.crystal, candidate.id)
        earlier = await self._made.add(candidate.id, crystal)
        if not earlier:
            return None
        reason = RejectionReason.REJECTION_REASON_DUPLICATE
        return rejection(candidate.id, _STAGE, reason, f"the same structure as candidate {earlier}")

    async def _known(self, candidates: Sequence[CampaignCandidate]) -> list[CampaignEvent]:
        if not candidates:
            return []
        crystals = [crystal_of(candidate.generated.crystal, candidate.id) for candidate in candidates]
        found = await self._patience.ask(
            "retrieval", lambda: self._mesh.matches(crystals, self._spec.catalog)
        )
        events = []
        for candidate in candidates:
            outcome = found[candidate.id]
            if isinstance(outcome, Failed) or not outcome.matches:
                continue  # what could not be compared now is compared once it is relaxed
            same = outcome.matches[0].material_id
            message = f"the catalog {outcome.catalog} has it as {same}"
            reason = RejectionReason.REJECTION_REASON_KNOWN
            events.append(rejection(candidate.id, _STAGE, reason, message))
        return events


def _impossible(candidate: CampaignCandidate) -> CampaignEvent | None:
    validity = candidate.generated.validity
    if not validity.structure_valid:
        reason = RejectionReason.REJECTION_REASON_INVALID_STRUCTURE
        apart, volume = validity.shortest_distance_angstrom, validity.volume_cubic_angstrom
        message = f"atoms {apart:.2f} Å apart in a cell of {volume:.1f} Å³"
        return rejection(candidate.id, _STAGE, reason, message)
    if not validity.composition_valid:
        reason = RejectionReason.REJECTION_REASON_INVALID_COMPOSITION
        return rejection(candidate.id, _STAGE, reason, f"the charges of {validity.formula} cannot balance")
    return None


def _came_through(candidate: CampaignCandidate) -> bool:
    """Whether later crystals are compared with it: all that were possible and on target when made."""
    if candidate.state != CandidateState.CANDIDATE_STATE_REJECTED or candidate.rejection.stage > _STAGE:
        return True
    return candidate.rejection.reason == RejectionReason.REJECTION_REASON_KNOWN
