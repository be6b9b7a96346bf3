"""How the property service is put together."""

from __future__ import annotations

from crystalmesh.property.v1.property_service_pb2_grpc import (
    PropertyServiceServicer,
    add_PropertyServiceServicer_to_server,
)
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_common.runtime.settings import ServiceSettings


def build(_settings: ServiceSettings, _metrics: Metrics) -> Hosted:
    """The generated servicer as it is: every method answers UNIMPLEMENTED with NOT_IMPLEMENTED_YET."""
    servicer = PropertyServiceServicer()
    return Hosted(
        registrations=[
            lambda server: add_PropertyServiceServicer_to_server(servicer, server),
        ]
    )


SERVICE = Service("property", ServiceSettings, build)
