"""How the agent service is put together."""

from __future__ import annotations

from crystalmesh.agent.v1.campaign_service_pb2_grpc import (
    CampaignServiceServicer,
    add_CampaignServiceServicer_to_server,
)
from crystalmesh.agent.v1.study_service_pb2_grpc import (
    StudyServiceServicer,
    add_StudyServiceServicer_to_server,
)
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_common.runtime.settings import ServiceSettings


def build(_settings: ServiceSettings, _metrics: Metrics) -> Hosted:
    """The generated servicers as they are: every method answers UNIMPLEMENTED with NOT_IMPLEMENTED_YET."""
    campaign = CampaignServiceServicer()
    study = StudyServiceServicer()
    return Hosted(
        registrations=[
            lambda server: add_CampaignServiceServicer_to_server(campaign, server),
            lambda server: add_StudyServiceServicer_to_server(study, server),
        ]
    )


SERVICE = Service("agent", ServiceSettings, build)
