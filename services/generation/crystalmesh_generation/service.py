"""How the generation service is put together."""

from __future__ import annotations

import os

from crystalmesh.generation.v1.generation_service_pb2_grpc import add_GenerationServiceServicer_to_server
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_generation.servicer import GenerationServicer
from crystalmesh_generation.serving.folders import SHIPPED, find_models
from crystalmesh_generation.serving.models import ServedModels
from crystalmesh_generation.settings import GenerationSettings
from crystalmesh_generation.worker import WritingRunner, WritingWorker
from crystalmesh_generation.writers.messages import Start
from crystalmesh_generation.writers.process import WriterProcess

NAME = "generation"


def build(settings: GenerationSettings, metrics: Metrics) -> Hosted:
    """The servicer and the runner behind it; nothing heavy is imported in this process."""
    folders = find_models(settings.models, SHIPPED if settings.shipped_models else None)
    models = ServedModels(folders)

    def load() -> WritingWorker:
        process = WriterProcess(_start(settings, folders))
        models.loaded(process.load())
        return WritingWorker(process)

    runner: WritingRunner = Runner(
        load,
        max_batch_cost=settings.capacity,
        queued_calls=settings.limits.queued_calls,
        metrics=metrics,
        name=NAME,
        devices=settings.workers,
    )
    servicer = GenerationServicer(runner, models, settings)
    return Hosted(
        registrations=[lambda server: add_GenerationServiceServicer_to_server(servicer, server)],
        runners=[runner],
    )


def _start(settings: GenerationSettings, folders: list[ModelFolder]) -> Start:
    return Start(
        service=NAME,
        folders=tuple(folders),
        engine=settings.engine,
        device=settings.device,
        threads=settings.threads or max(1, (os.cpu_count() or 1) // (2 * settings.workers)),
        capacity=settings.capacity,
        texts=settings.texts,
        substitutions=settings.substitutions,
        screen=settings.screen,
        materials=settings.materials,
        atoms_per_crystal=settings.limits.atoms_per_crystal,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )


SERVICE = Service(NAME, GenerationSettings, build)
