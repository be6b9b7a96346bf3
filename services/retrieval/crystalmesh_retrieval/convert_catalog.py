"""Catalogs: what they hold and how they are searched, as messages; and requests that add to them."""

from __future__ import annotations

from collections.abc import Mapping

from crystalmesh.retrieval.v1 import catalog_pb2, ingestion_pb2
from crystalmesh_common.runtime.errors import (
    EmptyBatchError,
    InvalidFieldError,
    TooManyCrystalsError,
)
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_retrieval.catalog.manifest import Manifest
from crystalmesh_retrieval.catalog.snapshot import Snapshot
from crystalmesh_retrieval.convert import PROPERTY_NUMBERS
from crystalmesh_retrieval.encoders.encoder import EncoderInfo
from crystalmesh_retrieval.ingestion import Ingested
from crystalmesh_retrieval.search.served import IndexInfo

_INDEX_KINDS: Mapping[str, catalog_pb2.IndexKind.ValueType] = {
    "flat": catalog_pb2.INDEX_KIND_FLAT,
    "hnsw": catalog_pb2.INDEX_KIND_HNSW,
    "ivf_sq8": catalog_pb2.INDEX_KIND_IVF_SQ8,
    "ivf_pq": catalog_pb2.INDEX_KIND_IVF_PQ,
}


def manifest_message(name: str, manifest: Manifest, *, is_default: bool) -> catalog_pb2.Catalog:
    """What a catalog says of itself, without a look at its materials."""
    message = catalog_pb2.Catalog(
        name=name,
        description=manifest.description,
        version=manifest.content_version,
        is_default=is_default,
        material_count=manifest.material_count,
        size_bytes=manifest.size_bytes,
        attributions=manifest.attributions,
    )
    message.create_time.FromDatetime(manifest.create_time)
    message.update_time.FromDatetime(manifest.update_time)
    return message


def catalog_message(name: str, snapshot: Snapshot, *, is_default: bool) -> catalog_pb2.Catalog:
    """All there is to know of a catalog but its index."""
    message = manifest_message(name, snapshot.manifest, is_default=is_default)
    message.atomic_numbers.extend(snapshot.atomic_numbers())
    for known, count in snapshot.coverage().items():
        if count:
            message.properties.add(property=PROPERTY_NUMBERS[known], material_count=count)
    return message


def fill_index(message: catalog_pb2.CatalogIndex, info: IndexInfo, encoder: EncoderInfo) -> None:
    """Say how a catalog is searched."""
    message.kind = _INDEX_KINDS.get(str(info.kind), catalog_pb2.INDEX_KIND_UNSPECIFIED)
    message.encoder = encoder.name
    message.dimensions = encoder.dimensions
    message.recall_at_10 = info.recall_at_10


def check_first(request: ingestion_pb2.AddMaterialsRequest, limits: Limits) -> None:
    """Raise an InvalidRequestError for a first message that is wrong."""
    if not request.catalog:
        raise InvalidFieldError("catalog: the first message must say which", field="catalog")
    if request.catalog_description and not request.create_catalog:
        raise InvalidFieldError(
            "catalog_description is for a catalog that is created: set create_catalog, too",
            field="catalog_description",
        )
    _check_size(request, limits)


def check_later(request: ingestion_pb2.AddMaterialsRequest, catalog: str, limits: Limits) -> None:
    """Raise an InvalidRequestError for a message after the first that is wrong."""
    if request.catalog not in ("", catalog):
        raise InvalidFieldError(
            f"catalog: one call adds to one catalog, and the first message said {catalog}", field="catalog"
        )
    if request.create_catalog or request.catalog_description:
        field = "create_catalog" if request.create_catalog else "catalog_description"
        raise InvalidFieldError(f"{field} belongs into the first message", field=field)
    if not request.materials:
        raise EmptyBatchError("there are no materials in a message after the first", field="materials")
    _check_size(request, limits)


def _check_size(request: ingestion_pb2.AddMaterialsRequest, limits: Limits) -> None:
    most = limits.crystals_per_call
    if len(request.materials) > most:
        raise TooManyCrystalsError(
            f"{len(request.materials)} materials in one message; at most {most} are taken", max_crystals=most
        )


def add_response(catalog: str, version: str, ingested: Ingested) -> ingestion_pb2.AddMaterialsResponse:
    """What became of a stream."""
    response = ingestion_pb2.AddMaterialsResponse(
        catalog=catalog,
        catalog_version=version,
        received_count=ingested.received,
        added_count=ingested.added,
        replaced_count=ingested.replaced,
        unchanged_count=ingested.unchanged,
    )
    for rejection in ingested.rejections:
        response.rejections.add(
            material_id=rejection.material_id, index=rejection.index, error=to_status(rejection.error)
        )
    return response
