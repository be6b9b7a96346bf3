"""How the generation service is put together."""

from __future__ import annotations

from crystalmesh.generation.v1.generation_service_pb2_grpc import (
    GenerationServiceServicer,
    add_GenerationServiceServicer_to_server,
)
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_common.runtime.settings import ServiceSettings


def build(_settings: ServiceSettings, _metrics: Metrics) -> Hosted:
    """The generated servicer as it is: every method answers UNIMPLEMENTED with NOT_IMPLEMENTED_YET."""
    generation = GenerationServiceServicer()
    return Hosted(
        registrations=[
            lambda server: add_GenerationServiceServicer_to_server(generation, server),
        ]
    )


SERVICE = Service("generation", ServiceSettings, build)
