"""How the relaxation service is put together."""

from __future__ import annotations

from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import add_RelaxationServiceServicer_to_server
from crystalmesh.stability.v1.stability_service_pb2_grpc import (
    StabilityServiceServicer,
    add_StabilityServiceServicer_to_server,
)
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_relaxation.engines import describe, device_count, load
from crystalmesh_relaxation.servicer import PotentialRunner, RelaxationServicer
from crystalmesh_relaxation.settings import RelaxationSettings
from crystalmesh_relaxation.worker import PotentialWorker


def build(settings: RelaxationSettings, metrics: Metrics) -> Hosted:
    """Servicers and the runner behind them; nothing heavy is imported until the runner loads."""
    runner: PotentialRunner = Runner(
        lambda: PotentialWorker(load(settings)),
        max_batch_cost=settings.batch_atoms,
        queued_calls=settings.limits.queued_calls,
        metrics=metrics,
        name="relaxation",
        devices=device_count(settings),
    )
    relaxation = RelaxationServicer(
        runner, describe(settings), settings.limits, evaluate_with=settings.evaluate_with
    )
    stability = StabilityServiceServicer()
    return Hosted(
        registrations=[
            lambda server: add_RelaxationServiceServicer_to_server(relaxation, server),
            lambda server: add_StabilityServiceServicer_to_server(stability, server),
        ],
        runners=[runner],
    )


SERVICE = Service("relaxation", RelaxationSettings, build)
