"""The client side of CampaignService, for synchronous code."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterator
from contextlib import closing
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
from crystalmesh_client.calls import Caller
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


class CampaignClient:
    """Searches for materials that fulfil a target, from synchronous code.

    Campaigns live on the server: they go on when callers leave and when the server restarts. The keywords
    of `CampaignSettings` say what one may spend and how it goes about it: `hits`, `max_seconds`, `seed`, …
    """

    def __init__(self, connection: Connection) -> None:
        self._caller = Caller(connection, ask.SERVICE, CampaignServiceStub)
        self._reached = False  # whether the server has answered anything yet

    def design(self, target: TargetLike | str, **settings: Unpack[CampaignSettings]) -> CampaignResults:
        """Look for materials, wait until the campaign has ended, and bring what it found.

        For `target` see `create`. Whatever interrupts this, Ctrl-C included, the campaign goes on:
        `list` finds it again, and `cancel` stops it. One that ended without a hit is a result, too; one that
        could not go on has `campaign.failure`.
        """
        campaign = self.create(target, **settings)
        try:
            for _ in self.watch(campaign.id):
                pass
        except BaseException as interruption:
            interruption.add_note(ask.goes_on(campaign.id))
            raise
        return self.results(campaign.id)

    def create(
        self,
        target: TargetLike | str,
        *,
        request_id: str | None = None,
        **settings: Unpack[CampaignSettings],
    ) -> Campaign:
        """Queue a campaign on the server, and return at once.

        The target is a `Target`, its parts by name, or plain English: "a lithium oxide with a gap of 2-4 eV
        that is stable", of which `spec.target` says what was understood. With the same `request_id` and the
        same settings, it is the campaign that was created before.
        """
        request = ask.creation(target, request_id, CampaignOptions(**settings))
        return campaign_from(self._ask("CreateCampaign", request).campaign)

    def get(self, campaign_id: str) -> Campaign:
        """How far a campaign is; ResourceNotFoundError when there is none of this id."""
        request = GetCampaignRequest(campaign_id=campaign_id)
        return campaign_from(self._ask("GetCampaign", request).campaign)

    def list(self, *, states: Collection[RunStateName] = (), page_size: int = 0) -> Iterator[Campaign]:
        """All campaigns in one of the states, or in any, the newest first, fetched as they are read."""
        for page in self._caller.pages("ListCampaigns", ask.listing(states, page_size)):
            yield from map(campaign_from, page.campaigns)

    def watch(
        self, campaign_id: str, *, after_sequence: int = 0, patience: float = ask.PATIENCE_SECONDS
    ) -> Generator[CampaignEvent, None, None]:
        """The events of a campaign from the first, or after one seen, each as it happens, until it ends.

        When the server goes away, it goes on after the last event seen, and gives up after `patience` seconds
        without a server. Closing the iterator, or leaving the loop over it, leaves the campaign as it is.
        """
        return self._events(ask.WatchedEvents(after_sequence, patience, reached=self._reached), campaign_id)

    def cancel(self, campaign_id: str) -> Campaign:
        """Stop a campaign; what it has found stays. One that has ended is left as it is."""
        request = CancelCampaignRequest(campaign_id=campaign_id)
        return campaign_from(self._ask("CancelCampaign", request).campaign)

    def delete(self, campaign_id: str) -> None:
        """Remove a campaign with all that it has found; WrongStateError while it has not ended."""
        self._ask("DeleteCampaign", DeleteCampaignRequest(campaign_id=campaign_id))

    def candidate(self, campaign_id: str, candidate_id: str) -> CampaignCandidate:
        """One candidate with its whole provenance; ResourceNotFoundError when there is none of this id."""
        request = GetCandidateRequest(campaign_id=campaign_id, candidate_id=candidate_id)
        return campaign_candidate_from(self._ask("GetCandidate", request).candidate)

    def candidates(
        self,
        campaign_id: str,
        *,
        states: Collection[CandidateStateName] = (),
        pareto_front_only: bool = False,
    ) -> Iterator[CampaignCandidate]:
        """The ranked candidates from the best to the worst, or those in these states; fetched as read.

        While the campaign runs, ranks may change between pages.
        """
        request = ask.candidate_listing(campaign_id, states, pareto_front_only=pareto_front_only)
        for page in self._caller.pages("ListCandidates", request):
            yield from map(campaign_candidate_from, page.candidates)

    def results(self, campaign_id: str) -> CampaignResults:
        """A campaign as it is now, with its ranked candidates."""
        campaign = self.get(campaign_id)
        ranked = sorted(self.candidates(campaign_id), key=lambda each: each.rank)
        return CampaignResults(campaign, tuple(ranked))

    def close(self) -> None:
        """Close the channel; running calls are cancelled, campaigns are not."""
        self._caller.close()

    def _ask(self, rpc: str, request: Message) -> Any:
        response = self._caller.look_up(rpc, request)
        self._reached = True
        return response

    def _events(self, watched: ask.WatchedEvents, campaign_id: str) -> Generator[CampaignEvent, None, None]:
        from crystalmesh_client.campaign_events import (  # noqa: PLC0415 -- many classes that few need
            CampaignFinished,
            campaign_event_from,
        )

        while True:
            request = WatchCampaignRequest(campaign_id=campaign_id, after_sequence=watched.seen)
            try:
                with closing(self._caller.responses("WatchCampaign", request, None)) as responses:
                    for response in responses:
                        if watched.is_new(response.event.sequence):
                            event = campaign_event_from(response.event)
                            yield event
                            if isinstance(event, CampaignFinished):
                                return
                if watched.is_all_of(self.get(campaign_id)):
                    return
                raise ask.ended_early()
            except UnavailableError as error:
                time.sleep(watched.pause_after(error))
