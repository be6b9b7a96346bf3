"""How the property service is put together."""

from __future__ import annotations

import os

from crystalmesh.property.v1.property_service_pb2_grpc import add_PropertyServiceServicer_to_server
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_property.servicer import PropertyServicer
from crystalmesh_property.serving.folders import SHIPPED, find_models
from crystalmesh_property.serving.models import ServedModels
from crystalmesh_property.serving.predictors.messages import Start
from crystalmesh_property.serving.predictors.process import PredictorProcess
from crystalmesh_property.settings import PropertySettings
from crystalmesh_property.worker import PredictionRunner, PredictionWorker

NAME = "property"


def build(settings: PropertySettings, metrics: Metrics) -> Hosted:
    """The servicer and the runner behind it; nothing heavy is imported in this process."""
    folders = find_models(settings.models, SHIPPED if settings.shipped_models else None)
    models = ServedModels(folders)
    workers = _worker_count(settings) if folders else 1

    def load() -> PredictionWorker:
        if not folders:
            return PredictionWorker(None)
        process = PredictorProcess(_start(settings, folders, workers))
        models.loaded(process.load())
        return PredictionWorker(process)

    runner: PredictionRunner = Runner(
        load,
        max_batch_cost=settings.batch_atoms,
        queued_calls=settings.limits.queued_calls,
        metrics=metrics,
        name=NAME,
        devices=workers,
    )
    servicer = PropertyServicer(
        runner, models, settings.limits, device=settings.device, stream_crystals=settings.stream_crystals
    )
    return Hosted(
        registrations=[lambda server: add_PropertyServiceServicer_to_server(servicer, server)],
        runners=[runner],
    )


def _worker_count(settings: PropertySettings) -> int:
    """As set, else one a core: graphs take most of the time, also where networks run on a GPU."""
    return settings.workers or min(4, os.cpu_count() or 1)


def _start(settings: PropertySettings, folders: list[ModelFolder], workers: int) -> Start:
    return Start(
        service=NAME,
        folders=tuple(folders),
        device=settings.device,
        threads=settings.threads or max(1, (os.cpu_count() or 1) // workers),
        atoms_per_crystal=settings.limits.atoms_per_crystal,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )


SERVICE = Service(NAME, PropertySettings, build)
