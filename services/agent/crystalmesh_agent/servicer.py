"""CampaignService: translation between the wire and the store, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing

from crystalmesh.agent.v1.campaign_service_pb2 import (
    CancelCampaignRequest,
    CancelCampaignResponse,
    CreateCampaignRequest,
    CreateCampaignResponse,
    DeleteCampaignRequest,
    DeleteCampaignResponse,
    GetCampaignRequest,
    GetCampaignResponse,
    GetCandidateRequest,
    GetCandidateResponse,
    ListCampaignsRequest,
    ListCampaignsResponse,
    ListCandidatesRequest,
    ListCandidatesResponse,
    WatchCampaignRequest,
    WatchCampaignResponse,
)
from crystalmesh.agent.v1.campaign_service_pb2_grpc import CampaignServiceServicer
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_agent.campaigns.resolving import resolved
from crystalmesh_agent.campaigns.specs import completed
from crystalmesh_agent.convert import known_candidate_states, known_run_states, named
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.watching import EventFeed
from crystalmesh_common.runtime.calls import CallContext


class CampaignServicer(CampaignServiceServicer):
    """Serves the campaigns of a store."""

    def __init__(
        self, store: CampaignStore, feed: EventFeed, mesh: CampaignMesh, planners: Collection[str]
    ) -> None:
        self._store = store
        self._feed = feed
        self._mesh = mesh
        self._planners = planners

    async def CreateCampaign(
        self, request: CreateCampaignRequest, _context: CallContext
    ) -> CreateCampaignResponse:
        request_id = named(request.request_id, "request_id")
        earlier = await asyncio.to_thread(self._store.created_before, request_id, request.spec)
        if earlier is None:
            spec = await asyncio.to_thread(completed, request.spec)
            full = await resolved(spec, self._mesh, self._planners)
            earlier = await asyncio.to_thread(self._store.create, request_id, full, requested=request.spec)
        return CreateCampaignResponse(campaign=earlier)

    async def GetCampaign(self, request: GetCampaignRequest, _context: CallContext) -> GetCampaignResponse:
        campaign_id = named(request.campaign_id, "campaign_id")
        return GetCampaignResponse(campaign=await asyncio.to_thread(self._store.get, campaign_id))

    async def ListCampaigns(
        self, request: ListCampaignsRequest, _context: CallContext
    ) -> ListCampaignsResponse:
        page = await asyncio.to_thread(
            self._store.campaigns,
            known_run_states(request.states),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return ListCampaignsResponse(campaigns=page.items, next_page_token=page.next_page_token)

    async def WatchCampaign(
        self, request: WatchCampaignRequest, _context: CallContext
    ) -> AsyncIterator[WatchCampaignResponse]:
        campaign_id = named(request.campaign_id, "campaign_id")
        async with aclosing(self._feed.watch(campaign_id, request.after_sequence)) as events:
            async for event in events:
                yield WatchCampaignResponse(event=event)

    async def CancelCampaign(
        self, request: CancelCampaignRequest, _context: CallContext
    ) -> CancelCampaignResponse:
        campaign_id = named(request.campaign_id, "campaign_id")
        return CancelCampaignResponse(campaign=await asyncio.to_thread(self._store.cancel, campaign_id))

    async def DeleteCampaign(
        self, request: DeleteCampaignRequest, _context: CallContext
    ) -> DeleteCampaignResponse:
        await asyncio.to_thread(self._store.delete, named(request.campaign_id, "campaign_id"))
        return DeleteCampaignResponse()

    async def GetCandidate(self, request: GetCandidateRequest, _context: CallContext) -> GetCandidateResponse:
        campaign_id = named(request.campaign_id, "campaign_id")
        candidate_id = named(request.candidate_id, "candidate_id")
        candidate = await asyncio.to_thread(self._store.candidate, campaign_id, candidate_id)
        return GetCandidateResponse(candidate=candidate)

    async def ListCandidates(
        self, request: ListCandidatesRequest, _context: CallContext
    ) -> ListCandidatesResponse:
        page = await asyncio.to_thread(
            self._store.candidates,
            named(request.campaign_id, "campaign_id"),
            known_candidate_states(request.states),
            pareto_front_only=request.pareto_front_only,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return ListCandidatesResponse(candidates=page.items, next_page_token=page.next_page_token)
