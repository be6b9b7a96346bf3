"""The last stages, in the order of the plan: is it new, what is it worth, is it a hit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, Novelty, RejectionReason
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent, CandidateHit, CandidateRanked
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh.retrieval.v1.match_pb2 import Matches
from crystalmesh_agent.campaigns.rejections import rejection
from crystalmesh_agent.campaigns.starting_points import is_ranked
from crystalmesh_agent.campaigns.structures import KnownStructures, crystal_of
from crystalmesh_agent.campaigns.workplace import Workplace

_STAGE = CampaignStage.CAMPAIGN_STAGE_NOVELTY


class Judging:
    """Judges one after the other: of two that are the same, the one that was planned first counts."""

    def __init__(self, workplace: Workplace) -> None:
        self._wishes = workplace.wishes
        self._journal = workplace.journal
        self._relaxed = KnownStructures()

    async def resume(self, candidates: Iterable[CampaignCandidate]) -> None:
        """Remember the structures that an earlier worker has judged."""
        for candidate in candidates:
            if is_ranked(candidate):
                crystal = crystal_of(candidate.relaxation.crystal, candidate.id)
                await self._relaxed.add(candidate.id, crystal)

    async def judge(self, candidate: CampaignCandidate, known: Matches) -> None:
        """Record what becomes of a candidate that was scored, and is these materials of the catalog."""
        if known.matches:
            message = f"relaxed to {known.matches[0].material_id} of the catalog {known.catalog}"
            await self._drop(candidate, RejectionReason.REJECTION_REASON_KNOWN, message)
            return
        crystal = crystal_of(candidate.relaxation.crystal, candidate.id)
        earlier = await self._relaxed.add(candidate.id, crystal)
        if earlier:
            message = f"relaxed to the structure of candidate {earlier}"
            await self._drop(candidate, RejectionReason.REJECTION_REASON_DUPLICATE, message)
            return
        novelty = Novelty(new_to_catalog=True, catalog_version=known.catalog_version, first_in_campaign=True)
        fit = await asyncio.to_thread(self._wishes.fit, crystal, candidate.properties)
        ranked = CandidateRanked(candidate_id=candidate.id, novelty=novelty, target_fit=fit)
        events = [CampaignEvent(candidate_ranked=ranked)]
        if fit.fulfilled:
            hit = CandidateHit()
            hit.candidate.id = candidate.id
            events.append(CampaignEvent(candidate_hit=hit))
        await self._journal.append(*events)

    async def _drop(
        self, candidate: CampaignCandidate, reason: RejectionReason.ValueType, message: str
    ) -> None:
        await self._journal.append(rejection(candidate.id, _STAGE, reason, message))
