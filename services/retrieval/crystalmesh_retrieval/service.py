"""How the retrieval service is put together."""

from __future__ import annotations

import os
from collections.abc import Callable

import structlog

from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import add_RetrievalServiceServicer_to_server
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelNotFoundError
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.service import Hosted, Service
from crystalmesh_retrieval.answers import Answers
from crystalmesh_retrieval.catalog.places import CatalogPlaces
from crystalmesh_retrieval.descriptions.describers import DEFAULT_DESCRIBER, Describer, describer
from crystalmesh_retrieval.encoders.encoder import Encoder, EncoderInfo
from crystalmesh_retrieval.matching.matcher import CatalogMatcher
from crystalmesh_retrieval.matching.worker import MatchingRunner, MatchingWorker
from crystalmesh_retrieval.models import ServedEncoder
from crystalmesh_retrieval.search.indexer import CatalogIndexer
from crystalmesh_retrieval.search.materials import MaterialReader
from crystalmesh_retrieval.search.served import Indexer, ServedCatalogs
from crystalmesh_retrieval.servicer import RetrievalServicer, Runners
from crystalmesh_retrieval.settings import RetrievalSettings
from crystalmesh_retrieval.worker import EncodingRunner, EncodingWorker

_log = structlog.get_logger(__name__)

NAME = "retrieval"
ROBOCRYS = "robocrys"

LoadEncoder = Callable[[], Encoder]


def build(settings: RetrievalSettings, metrics: Metrics) -> Hosted:
    """The service with the encoder of its settings."""
    return assembled(settings, metrics, lambda: _load(settings), CatalogIndexer(threads=_threads(settings)))


def assembled(
    settings: RetrievalSettings, metrics: Metrics, load_encoder: LoadEncoder, indexer: Indexer
) -> Hosted:
    """The servicer, the runners behind it and what they share; the encoder is loaded by its runner."""
    encoder = ServedEncoder(settings.encoder, settings.device)
    catalogs = ServedCatalogs(
        CatalogPlaces.of(settings.catalogs),
        indexer,
        default=settings.default_catalog,
        index_seconds=settings.index_seconds,
    )
    reader = MaterialReader(settings.material_cache_bytes)
    matcher = CatalogMatcher(reader)
    queued = settings.limits.queued_calls

    def load() -> EncodingWorker:
        if encoder.is_absent:
            return EncodingWorker(None)
        try:
            loaded = load_encoder()
        except ModelNotFoundError as error:
            # Everything but searching and embedding goes on without it.
            _log.warning("encoder_not_found", error=error.message)
            encoder.missing = error.message
            return EncodingWorker(None)
        encoder.loaded(loaded.info, _describer(settings.describer, loaded.info))
        _open_default(catalogs, loaded.info)
        return EncodingWorker(loaded)

    matching: MatchingRunner = Runner(
        lambda: MatchingWorker(matcher),
        max_batch_cost=1,
        queued_calls=queued,
        metrics=_of_matching(metrics),
        name=f"{NAME}-matching",
        devices=settings.matching_threads,
    )
    encoding: EncodingRunner = Runner(
        load, max_batch_cost=settings.batch_tokens, queued_calls=queued, metrics=metrics, name=NAME
    )
    answers = Answers(catalogs, encoder, reader, matcher)
    servicer = RetrievalServicer(Runners(encoding, matching), encoder, catalogs, answers, settings.limits)
    return Hosted(
        registrations=[lambda server: add_RetrievalServiceServicer_to_server(servicer, server)],
        # Matching is ready at once, also while the encoder loads.
        runners=[matching, encoding],
    )


def _load(settings: RetrievalSettings) -> Encoder:
    from crystalmesh_retrieval.encoders.loading import EncoderOptions, load_encoder  # noqa: PLC0415 -- torch

    options = EncoderOptions(
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        engine=settings.engine,
        allow_downloads=settings.allow_downloads,
    )
    return load_encoder(settings.encoder, options)


def _describer(name: str, encoder: EncoderInfo) -> Describer:
    """As set, else whose texts the encoder has learnt to read; other encoders read ours."""
    return describer(name or (ROBOCRYS if encoder.describer == ROBOCRYS else DEFAULT_DESCRIBER))


def _threads(settings: RetrievalSettings) -> int:
    return settings.threads or os.cpu_count() or 1


def _open_default(catalogs: ServedCatalogs, encoder: EncoderInfo) -> None:
    """Open what the first search is likely to need; what is wrong with it, that search says."""
    try:
        catalogs.opened("", encoder)
    except (CrystalMeshError, OSError) as error:
        _log.info("default_catalog_not_opened", error=str(error))


def _of_matching(metrics: Metrics) -> Metrics:
    """Counts failed items with the others; queue, batches and readiness are told of the encoder alone."""
    own = Metrics(metrics.service)
    own.item_failures = metrics.item_failures
    return own


SERVICE = Service(NAME, RetrievalSettings, build)
