"""How the retrieval service is put together."""

from __future__ import annotations

from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceServicer,
    add_RetrievalServiceServicer_to_server,
)
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_common.runtime.settings import ServiceSettings


def build(_settings: ServiceSettings, _metrics: Metrics) -> Hosted:
    """The generated servicer as it is: every method answers UNIMPLEMENTED with NOT_IMPLEMENTED_YET."""
    retrieval = RetrievalServiceServicer()
    return Hosted(
        registrations=[
            lambda server: add_RetrievalServiceServicer_to_server(retrieval, server),
        ]
    )


SERVICE = Service("retrieval", ServiceSettings, build)
