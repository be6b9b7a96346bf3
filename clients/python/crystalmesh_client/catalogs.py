"""The catalogs that a server searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from crystalmesh.retrieval.v1 import catalog_pb2
from crystalmesh_client.notebook import html_table
from crystalmesh_client.properties import property_name
from crystalmesh_common.crystal.elements import symbol_of

_KINDS: Mapping[int, str] = {
    catalog_pb2.INDEX_KIND_FLAT: "flat",
    catalog_pb2.INDEX_KIND_HNSW: "hnsw",
    catalog_pb2.INDEX_KIND_IVF_SQ8: "ivf-sq8",
    catalog_pb2.INDEX_KIND_IVF_PQ: "ivf-pq",
}


@dataclass(frozen=True)
class CatalogIndex:
    """How a catalog is searched."""

    kind: str  # "flat" compares with every vector; "hnsw", "ivf-sq8", "ivf-pq"; "not stated"
    encoder: str
    dimensions: int
    recall_at_10: float  # fraction of the true ten nearest that a search finds, measured at the build


@dataclass(frozen=True)
class Catalog:
    """A searchable set of materials."""

    name: str
    description: str = field(repr=False)
    version: str  # equal versions hold equal materials
    is_default: bool
    material_count: int
    size_bytes: int = field(repr=False)
    atomic_numbers: tuple[int, ...] = field(repr=False)  # that occur, ascending
    properties: Mapping[str, int] = field(repr=False)  # for how many materials each is known
    attributions: tuple[str, ...] = field(repr=False)  # that the licences of its sources ask for
    index: CatalogIndex | None = field(repr=False)  # None: not stated
    created: datetime | None = field(repr=False)
    updated: datetime | None = field(repr=False)

    @property
    def elements(self) -> list[str]:
        """The symbols of the elements that occur, by atomic number."""
        return [symbol_of(number) for number in self.atomic_numbers]

    def _repr_html_(self) -> str:
        return html_table(*_rows(self))


def catalog_from(message: catalog_pb2.Catalog) -> Catalog:
    """The typed form of a message."""
    index = message.index
    return Catalog(
        name=message.name,
        description=message.description,
        version=message.version,
        is_default=message.is_default,
        material_count=message.material_count,
        size_bytes=message.size_bytes,
        atomic_numbers=tuple(message.atomic_numbers),
        properties={property_name(known.property): known.material_count for known in message.properties},
        attributions=tuple(message.attributions),
        index=CatalogIndex(
            _KINDS.get(index.kind, "not stated"), index.encoder, index.dimensions, index.recall_at_10
        )
        if message.HasField("index")
        else None,
        created=_time(message.create_time) if message.HasField("create_time") else None,
        updated=_time(message.update_time) if message.HasField("update_time") else None,
    )


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def _rows(catalog: Catalog) -> Iterator[tuple[str, str]]:
    yield "catalog", catalog.name
    yield "description", catalog.description
    yield "materials", f"{catalog.material_count:,}"
    yield "elements", str(len(catalog.atomic_numbers))
    for name, count in catalog.properties.items():
        yield name.replace("_", " "), f"{count:,}"
    if catalog.index is not None:
        index = catalog.index
        yield "index", f"{index.kind}, {index.encoder}, recall@10 {index.recall_at_10:.3f}"
    for attribution in catalog.attributions:
        yield "attribution", attribution
