"""A campaign service that does as told: when a real one finds something, or fails, cannot be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from crystalmesh.agent.v1 import campaign_service_pb2 as service
from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignCreated, CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignSpec
from crystalmesh.agent.v1.campaign_service_pb2_grpc import (
    CampaignServiceServicer,
    add_CampaignServiceServicer_to_server,
)
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh.stability.v1.phase_diagram_pb2 import (
    GetPhaseDiagramRequest,
    GetPhaseDiagramResponse,
    PhaseDiagram,
)
from crystalmesh.stability.v1.stability_service_pb2_grpc import (
    StabilityServiceServicer,
    add_StabilityServiceServicer_to_server,
)
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidFieldError,
    ResourceNotFoundError,
    WrongStateError,
)
from crystalmesh_common.runtime.settings import ServiceSettings
from tests.client.campaigns import story
from tests.client.hosting import in_a_thread, standing_in

Item = TypeVar("Item")

_RANKED = (CandidateState.CANDIDATE_STATE_RANKED, CandidateState.CANDIDATE_STATE_HIT)
_ENDED = (RunState.RUN_STATE_FINISHED, RunState.RUN_STATE_CANCELLED, RunState.RUN_STATE_FAILED)


@dataclass
class Laboratory(CampaignServiceServicer):
    """Each campaign that it is asked for goes as the script says; only when watched, and at once."""

    script: list[CampaignEvent] = field(default_factory=story.whole)
    found: list[CampaignCandidate] = field(default_factory=story.all_candidates)
    refusal: CrystalMeshError | None = None  # of whoever creates
    failures: list[CrystalMeshError] = field(default_factory=list)  # of the first watches
    after: int = 3  # events of a watch, before it fails, waits or is cut
    waits: bool = False  # after so many events, until the caller goes away
    cut: bool = False  # the first watch ends well after so many events
    page: int = 0  # most that a page holds, whatever was asked for; 0: as asked for

    specs: dict[str, CampaignSpec] = field(default_factory=dict)  # by request id, as they came
    campaigns: dict[str, Campaign] = field(default_factory=dict)  # by id
    events: dict[str, list[CampaignEvent]] = field(default_factory=dict)
    watched_after: list[int] = field(default_factory=list)
    ended: int = 0  # watches, for whatever reason

    async def CreateCampaign(
        self, request: service.CreateCampaignRequest, context: CallContext
    ) -> service.CreateCampaignResponse:
        if self.refusal is not None:
            raise self.refusal
        if request.request_id not in self.specs:
            self.specs[request.request_id] = request.spec
            self._add(f"camp-{len(self.specs)}", request.spec)
        number = list(self.specs).index(request.request_id) + 1
        return service.CreateCampaignResponse(campaign=self.campaigns[f"camp-{number}"])

    async def GetCampaign(
        self, request: service.GetCampaignRequest, context: CallContext
    ) -> service.GetCampaignResponse:
        return service.GetCampaignResponse(campaign=self._campaign(request.campaign_id))

    async def ListCampaigns(
        self, request: service.ListCampaignsRequest, context: CallContext
    ) -> service.ListCampaignsResponse:
        wanted = [
            each
            for each in reversed(self.campaigns.values())
            if not request.states or each.state in request.states
        ]
        page, token = _page(wanted, request.page_token, self.page or request.page_size or 100)
        return service.ListCampaignsResponse(campaigns=page, next_page_token=token)

    async def WatchCampaign(
        self, request: service.WatchCampaignRequest, context: CallContext
    ) -> AsyncIterator[service.WatchCampaignResponse]:
        campaign = self._campaign(request.campaign_id)
        self.watched_after.append(request.after_sequence)
        failure = self.failures.pop(0) if self.failures else None
        events = self.events[campaign.id]
        if request.after_sequence > len(events):
            raise InvalidFieldError("beyond the last event", field="after_sequence")
        try:
            for told, event in enumerate(events[request.after_sequence :]):
                if told == self.after and self.waits:
                    await asyncio.Event().wait()
                if told == self.after and self.cut:
                    self.cut = False
                    return
                if told == self.after and failure is not None:
                    raise failure
                self._happens(campaign, event)
                yield service.WatchCampaignResponse(event=event)
        finally:
            self.ended += 1

    async def CancelCampaign(
        self, request: service.CancelCampaignRequest, context: CallContext
    ) -> service.CancelCampaignResponse:
        campaign = self._campaign(request.campaign_id)
        if campaign.state not in _ENDED:
            self._happens(campaign, story.finished("CANCELLED", state="CANCELLED"))
        return service.CancelCampaignResponse(campaign=campaign)

    async def DeleteCampaign(
        self, request: service.DeleteCampaignRequest, context: CallContext
    ) -> service.DeleteCampaignResponse:
        campaign = self._campaign(request.campaign_id)
        if campaign.state not in _ENDED:
            raise WrongStateError(f"the campaign {campaign.id} has not ended: cancel it first")
        del self.campaigns[campaign.id]
        return service.DeleteCampaignResponse()

    async def GetCandidate(
        self, request: service.GetCandidateRequest, context: CallContext
    ) -> service.GetCandidateResponse:
        self._campaign(request.campaign_id)
        for each in self.found:
            if each.id == request.candidate_id:
                return service.GetCandidateResponse(candidate=each)
        raise ResourceNotFoundError(f"there is no candidate {request.candidate_id}", resource="candidate")

    async def ListCandidates(
        self, request: service.ListCandidatesRequest, context: CallContext
    ) -> service.ListCandidatesResponse:
        self._campaign(request.campaign_id)
        wanted = [
            each
            for each in self.found
            if each.state in (request.states or _RANKED)
            and (each.on_pareto_front or not request.pareto_front_only)
        ]
        page, token = _page(wanted, request.page_token, self.page or request.page_size or 50)
        return service.ListCandidatesResponse(candidates=page, next_page_token=token)

    def _add(self, campaign_id: str, asked: CampaignSpec) -> None:
        spec = CampaignSpec()
        spec.CopyFrom(asked)
        spec.display_name = spec.display_name or "salts"
        spec.hits_wanted = spec.hits_wanted or 10
        spec.catalog, spec.reference = spec.catalog or "mp20", spec.reference or story.REFERENCE
        campaign = Campaign(id=campaign_id, spec=spec, state=RunState.RUN_STATE_QUEUED, last_sequence=1)
        campaign.create_time.FromSeconds(1_800_000_000)
        script = [CampaignEvent(created=CampaignCreated(spec=spec)), *self.script]
        self.campaigns[campaign_id] = campaign
        self.events[campaign_id] = list(story.numbered(campaign_id, script))

    def _campaign(self, campaign_id: str) -> Campaign:
        if campaign_id not in self.campaigns:
            raise ResourceNotFoundError(
                f"there is no campaign {campaign_id}", resource="campaign", id=campaign_id
            )
        return self.campaigns[campaign_id]

    def _happens(self, campaign: Campaign, event: CampaignEvent) -> None:
        campaign.last_sequence = max(campaign.last_sequence, event.sequence)
        match event.WhichOneof("event"):
            case "started" | "resumed":
                campaign.state = RunState.RUN_STATE_RUNNING
                campaign.ClearField("pause")
            case "paused":
                campaign.state = RunState.RUN_STATE_PAUSED
                campaign.pause.CopyFrom(event.paused)
            case "round_finished":
                campaign.progress.CopyFrom(event.round_finished.progress)
            case "finished":
                campaign.progress.CopyFrom(event.finished.progress)
                campaign.state = event.finished.state
                campaign.stop_reason = event.finished.stop_reason
                if event.finished.HasField("failure"):
                    campaign.failure.CopyFrom(event.finished.failure)


class Hulls(StabilityServiceServicer):
    """The hull of sodium and chlorine, whatever is asked for."""

    async def GetPhaseDiagram(
        self, request: GetPhaseDiagramRequest, context: CallContext
    ) -> GetPhaseDiagramResponse:
        diagram = PhaseDiagram(chemical_system=request.chemical_system)
        diagram.reference.name = request.reference
        for formula, energy in (("Cl2", 0.0), ("Na", 0.0), ("NaCl", -2.1)):
            diagram.entries.add(entry_id=formula, formula=formula, formation_energy_ev_per_atom=energy)
        diagram.facets.add(entry_indices=[0, 2])
        diagram.facets.add(entry_indices=[1, 2])
        return GetPhaseDiagramResponse(phase_diagram=diagram)


def _page(items: Sequence[Item], token: str, size: int) -> tuple[Sequence[Item], str]:
    start = int(token or 0)
    return items[start : start + size], str(start + size) if start + size < len(items) else ""


def hosted(servicer: Laboratory, port: int = 0) -> AbstractAsyncContextManager[str]:
    """The address of a server of its own with this servicer."""
    return standing_in(
        "agent",
        ServiceSettings(metrics_port=-1, port=port, drain_seconds=0),
        lambda server: add_CampaignServiceServicer_to_server(servicer, server),
        lambda server: add_StabilityServiceServicer_to_server(Hulls(), server),
    )


def served(servicer: Laboratory) -> AbstractContextManager[str]:
    """The same for synchronous code."""
    return in_a_thread(hosted(servicer))
