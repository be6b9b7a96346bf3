"""How the relaxation service is put together."""

from __future__ import annotations

import os
from threading import Lock

from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import add_RelaxationServiceServicer_to_server
from crystalmesh.stability.v1.stability_service_pb2_grpc import add_StabilityServiceServicer_to_server
from crystalmesh_common.mesh.home import MeshHome
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_relaxation.engines.specs import parse_spec
from crystalmesh_relaxation.evaluators.messages import Start
from crystalmesh_relaxation.evaluators.process import EvaluatorProcess
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.recent_energies import RecentEnergies
from crystalmesh_relaxation.servicer import PotentialRunner, RelaxationServicer
from crystalmesh_relaxation.settings import RelaxationSettings
from crystalmesh_relaxation.stability.reference import Reference
from crystalmesh_relaxation.stability.references import References, shipped_references
from crystalmesh_relaxation.stability.tables import read_reference
from crystalmesh_relaxation.stability_servicer import StabilityServicer
from crystalmesh_relaxation.worker import PotentialWorker

NAME = "relaxation"


def build(settings: RelaxationSettings, metrics: Metrics) -> Hosted:
    """Servicers and the runner behind them; nothing heavy is imported in this process."""
    models = Models([parse_spec(text).name for text in settings.models])
    references = References()
    workers = _worker_count(settings)
    first = Lock()

    def load() -> PotentialWorker:
        evaluator = EvaluatorProcess(_start(settings, workers))
        potentials = evaluator.load()
        models.loaded(potentials)
        with first:
            if not references.are_loaded:
                references.loaded(_read_references(settings), settings.default_reference)
        return PotentialWorker(evaluator, potentials)

    runner: PotentialRunner = Runner(
        load,
        max_batch_cost=settings.batch_edges,
        queued_calls=settings.limits.queued_calls,
        metrics=metrics,
        name=NAME,
        devices=workers,
    )
    energies = RecentEnergies()
    relaxation = RelaxationServicer(
        runner, models, settings.limits, energies, evaluate_with=settings.evaluate_with
    )
    stability = StabilityServicer(runner, models, references, settings.limits, energies)
    return Hosted(
        registrations=[
            lambda server: add_RelaxationServiceServicer_to_server(relaxation, server),
            lambda server: add_StabilityServiceServicer_to_server(stability, server),
        ],
        runners=[runner],
    )


def _read_references(settings: RelaxationSettings) -> list[Reference]:
    return [read_reference(path) for path in (*shipped_references(), *settings.references)]


def _worker_count(settings: RelaxationSettings) -> int:
    """As set, else one a core on CPUs and one for a GPU."""
    if settings.workers:
        return settings.workers
    return min(4, os.cpu_count() or 1) if settings.device == "cpu" else 1


def _start(settings: RelaxationSettings, workers: int) -> Start:
    return Start(
        service=NAME,
        models=settings.models,
        device=settings.device,
        threads=settings.threads or max(1, (os.cpu_count() or 1) // workers),
        log_level=settings.log_level,
        log_format=settings.log_format,
        model_folder=str(settings.model_folder or MeshHome.of_this_user().root / "models"),
        allow_downloads=settings.allow_downloads,
    )


SERVICE = Service(NAME, RelaxationSettings, build)
