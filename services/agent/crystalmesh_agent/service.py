"""How the agent service is put together."""

from __future__ import annotations

from crystalmesh.agent.v1.campaign_service_pb2_grpc import add_CampaignServiceServicer_to_server
from crystalmesh.agent.v1.study_service_pb2_grpc import (
    StudyServiceServicer,
    add_StudyServiceServicer_to_server,
)
from crystalmesh_agent.campaigns.controller import CampaignController, Pace
from crystalmesh_agent.campaigns.mesh import CampaignMesh, ServedMesh
from crystalmesh_agent.campaigns.wishes import merits
from crystalmesh_agent.planning.choosing import planners
from crystalmesh_agent.servicer import CampaignServicer
from crystalmesh_agent.settings import AgentSettings
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.watching import EventFeed
from crystalmesh_client.connection import Connection
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_common.runtime.settings import SettingsError


class _CampaignWork:
    """What goes on beside the calls: campaigns are worked on, and watchers are told."""

    def __init__(self, store: CampaignStore, feed: EventFeed, controller: CampaignController) -> None:
        self._store = store
        self._feed = feed
        self._controller = controller

    async def start(self) -> None:
        await self._feed.__aenter__()
        await self._controller.start()

    async def drain(self) -> None:
        """Watchers would wait for the campaigns' ends; they come back after the last event that they saw."""
        await self._feed.__aexit__()

    async def stop(self) -> None:
        await self._controller.stop()
        self._store.close()


def build(settings: AgentSettings, _metrics: Metrics) -> Hosted:
    """The service over the mesh that the settings name."""
    return hosted(settings, ServedMesh(Connection(settings.mesh_address or None)))


def hosted(settings: AgentSettings, mesh: CampaignMesh) -> Hosted:
    """Campaigns over the store, and StudyService as generated: it answers NOT_IMPLEMENTED_YET."""
    store = _store(settings)
    feed = EventFeed(store)
    known = planners(settings.planners)
    pace = Pace(settings.campaigns, settings.lease_seconds)
    controller = CampaignController(store, mesh, known, pace)
    campaigns = CampaignServicer(store, feed, mesh, known)
    studies = StudyServiceServicer()
    return Hosted(
        registrations=[
            lambda server: add_CampaignServiceServicer_to_server(campaigns, server),
            lambda server: add_StudyServiceServicer_to_server(studies, server),
        ],
        companions=[_CampaignWork(store, feed, controller)],
    )


def _store(settings: AgentSettings) -> CampaignStore:
    url = None if settings.database is None else settings.database.get_secret_value()
    try:
        return CampaignStore.open(url, merits=merits, max_queued=settings.waiting_campaigns)
    except CrystalMeshError as error:
        raise SettingsError(f"database: {error}") from None


SERVICE = Service("agent", AgentSettings, build)
