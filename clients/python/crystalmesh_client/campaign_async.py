"""The client side of CampaignService, for asyncio code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Unpack

from google.protobuf.message import Message

from crystalmesh.agent.v1.campaign_service_pb2 import (
    CancelCampaignRequest,
    DeleteCampaignRequest,
    GetCampaignRequest,
    GetCandidateRequest,
    WatchCampaignRequest,
)
from crystalmesh.agent.v1.campaign_service_pb2_grpc import CampaignServiceStub
from crystalmesh_client import campaign_questions as ask
from crystalmesh_client.calls import AsyncCaller
from crystalmesh_client.campaign_candidates import (
    CampaignCandidate,
    CandidateStateName,
    campaign_candidate_from,
)
from crystalmesh_client.campaign_specs import CampaignOptions, CampaignSettings
from crystalmesh_client.campaigns import Campaign, CampaignResults, RunStateName, campaign_from
from crystalmesh_client.connection import Connection
from crystalmesh_client.prompts import TargetLike
from crystalmesh_common.runtime.errors import UnavailableError

if TYPE_CHECKING:
    from crystalmesh_client.campaign_events import CampaignEvent


class AsyncCampaignClient:
    """Searches for materials, from asyncio code; each method like its namesake of `CampaignClient`."""

    def __init__(self, connection: Connection) -> None:
        self._caller = AsyncCaller(connection, ask.SERVICE, CampaignServiceStub)
        self._reached = False  # whether the server has answered anything yet

    async def design(self, target: TargetLike | str, **settings: Unpack[CampaignSettings]) -> CampaignResults:
        """Look for materials, wait until the campaign has ended, and bring what it found.

        Cancelling this leaves the campaign running on the server.
        """
        campaign = await self.create(target, **settings)
        try:
            async with aclosing(self.watch(campaign.id)) as events:
                async for _ in events:
                    pass
        except BaseException as interruption:
            interruption.add_note(ask.goes_on(campaign.id))
            raise
        return await self.results(campaign.id)

    async def create(
        self,
        target: TargetLike | str,
        *,
        request_id: str | None = None,
        **settings: Unpack[CampaignSettings],
    ) -> Campaign:
        """Queue a campaign on the server, and return at once."""
        request = ask.creation(target, request_id, CampaignOptions(**settings))
        return campaign_from((await self._ask("CreateCampaign", request)).campaign)

    async def get(self, campaign_id: str) -> Campaign:
        """How far a campaign is; ResourceNotFoundError when there is none of this id."""
        request = GetCampaignRequest(campaign_id=campaign_id)
        return campaign_from((await self._ask("GetCampaign", request)).campaign)

    async def list(
        self, *, states: Collection[RunStateName] = (), page_size: int = 0
    ) -> AsyncGenerator[Campaign, None]:
        """All campaigns in one of the states, or in any, the newest first, fetched as they are read."""
        async with aclosing(self._caller.pages("ListCampaigns", ask.listing(states, page_size))) as pages:
            async for page in pages:
                for message in page.campaigns:
                    yield campaign_from(message)

    def watch(
        self, campaign_id: str, *, after_sequence: int = 0, patience: float = ask.PATIENCE_SECONDS
    ) -> AsyncGenerator[CampaignEvent, None]:
        """The events of a campaign, each as it happens, until it ends; resumes when the server is back."""
        return self._events(ask.WatchedEvents(after_sequence, patience, reached=self._reached), campaign_id)

    async def cancel(self, campaign_id: str) -> Campaign:
        """Stop a campaign; what it has found stays. One that has ended is left as it is."""
        request = CancelCampaignRequest(campaign_id=campaign_id)
        return campaign_from((await self._ask("CancelCampaign", request)).campaign)

    async def delete(self, campaign_id: str) -> None:
        """Remove a campaign with all that it has found; WrongStateError while it has not ended."""
        await self._ask("DeleteCampaign", DeleteCampaignRequest(campaign_id=campaign_id))

    async def candidate(self, campaign_id: str, candidate_id: str) -> CampaignCandidate:
        """One candidate with its whole provenance; ResourceNotFoundError when there is none of this id."""
        request = GetCandidateRequest(campaign_id=campaign_id, candidate_id=candidate_id)
        return campaign_candidate_from((await self._ask("GetCandidate", request)).candidate)

    async def candidates(
        self,
        campaign_id: str,
        *,
        states: Collection[CandidateStateName] = (),
        pareto_front_only: bool = False,
    ) -> AsyncGenerator[CampaignCandidate, None]:
        """The ranked candidates from the best to the worst, or those in these states."""
        request = ask.candidate_listing(campaign_id, states, pareto_front_only=pareto_front_only)
        async with aclosing(self._caller.pages("ListCandidates", request)) as pages:
            async for page in pages:
                for message in page.candidates:
                    yield campaign_candidate_from(message)

    async def results(self, campaign_id: str) -> CampaignResults:
        """A campaign as it is now, with its ranked candidates."""
        campaign = await self.get(campaign_id)
        async with aclosing(self.candidates(campaign_id)) as candidates:
            ranked = sorted([each async for each in candidates], key=lambda each: each.rank)
        return CampaignResults(campaign, tuple(ranked))

    async def close(self) -> None:
        """Close the channel; running calls are cancelled, campaigns are not."""
        await self._caller.close()

    async def _ask(self, rpc: str, request: Message) -> Any:
        response = await self._caller.look_up(rpc, request)
        self._reached = True
        return response

    async def _events(
        self, watched: ask.WatchedEvents, campaign_id: str
    ) -> AsyncGenerator[CampaignEvent, None]:
        from crystalmesh_client.campaign_events import (  # noqa: PLC0415 -- many classes that few need
            CampaignFinished,
            campaign_event_from,
        )

        while True:
            request = WatchCampaignRequest(campaign_id=campaign_id, after_sequence=watched.seen)
            try:
                async with aclosing(self._caller.responses("WatchCampaign", request, None)) as responses:
                    async for response in responses:
                        if watched.is_new(response.event.sequence):
                            event = campaign_event_from(response.event)
                            yield event
                            if isinstance(event, CampaignFinished):
                                return
                if watched.is_all_of(await self.get(campaign_id)):
                    return
                raise ask.ended_early()
            except UnavailableError as error:
                await asyncio.sleep(watched.pause_after(error))
