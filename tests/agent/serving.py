"""The agent service in this process, over a scripted mesh, called over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from crystalmesh.agent.v1 import campaign_service_pb2 as service
from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignSpec
from crystalmesh.agent.v1.campaign_service_pb2_grpc import CampaignServiceStub
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_agent.service import hosted
from crystalmesh_agent.settings import AgentSettings
from crystalmesh_agent.store.database import file_url
from crystalmesh_client.connection import translated_errors
from crystalmesh_common.runtime.service import Service, StandaloneProcess

_SECONDS = 60


class Calls:
    """Calls of the service; they raise what it raised."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub: Any = CampaignServiceStub(channel)

    async def create(self, spec: CampaignSpec, request_id: str = "request") -> Campaign:
        request = service.CreateCampaignRequest(request_id=request_id, spec=spec)
        response: service.CreateCampaignResponse = await self.answer("CreateCampaign", request)
        return response.campaign

    async def get(self, campaign_id: str) -> Campaign:
        request = service.GetCampaignRequest(campaign_id=campaign_id)
        response: service.GetCampaignResponse = await self.answer("GetCampaign", request)
        return response.campaign

    async def cancel(self, campaign_id: str) -> Campaign:
        request = service.CancelCampaignRequest(campaign_id=campaign_id)
        response: service.CancelCampaignResponse = await self.answer("CancelCampaign", request)
        return response.campaign

    async def delete(self, campaign_id: str) -> None:
        await self.answer("DeleteCampaign", service.DeleteCampaignRequest(campaign_id=campaign_id))

    async def candidate(self, campaign_id: str, candidate_id: str) -> CampaignCandidate:
        request = service.GetCandidateRequest(campaign_id=campaign_id, candidate_id=candidate_id)
        response: service.GetCandidateResponse = await self.answer("GetCandidate", request)
        return response.candidate

    async def watch(self, campaign_id: str, after: int = 0) -> AsyncIterator[CampaignEvent]:
        request = service.WatchCampaignRequest(campaign_id=campaign_id, after_sequence=after)
        with translated_errors():
            async for response in self.stub.WatchCampaign(request, timeout=_SECONDS):
                yield response.event

    async def answer(self, rpc: str, request: Any) -> Any:
        with translated_errors():
            return await getattr(self.stub, rpc)(request, timeout=_SECONDS)


class Served:
    """A running service."""

    def __init__(self, process: StandaloneProcess[AgentSettings], calls: Calls) -> None:
        self._process = process
        self._stopping: asyncio.Task[None] | None = None
        self.calls = calls

    def stop(self) -> asyncio.Task[None]:
        """Begin to stop it, unless that has begun."""
        self._stopping = self._stopping or asyncio.create_task(self._process.stop())
        return self._stopping


@asynccontextmanager
async def serving(path: Path, mesh: CampaignMesh, **settings: Any) -> AsyncIterator[Served]:
    """The service over the database at this path."""
    usual: dict[str, Any] = {
        "database": str(file_url(path)),
        "metrics_port": -1,
        "port": 0,
        "drain_seconds": 0,
        "lease_seconds": 1,
    }
    process = StandaloneProcess(
        Service("agent", AgentSettings, lambda settings, _metrics: hosted(settings, mesh)),
        AgentSettings(**(usual | settings)),
    )
    await process.start()
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}", options=options) as channel:
        assert await process.load()
        served = Served(process, Calls(channel))
        try:
            yield served
        finally:
            await served.stop()
