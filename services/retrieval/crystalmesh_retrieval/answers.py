"""What catalogs have to say, as messages: read, described and ranked beside the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from crystalmesh.retrieval.v1 import catalog_pb2, material_pb2
from crystalmesh.retrieval.v1.search_pb2 import SearchHit
from crystalmesh_common.runtime.errors import CrystalMeshError, DataCorruptError, ResourceNotFoundError
from crystalmesh_retrieval.catalog.manifest import read_manifest
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot
from crystalmesh_retrieval.convert_catalog import catalog_message, fill_index, manifest_message
from crystalmesh_retrieval.convert_listing import ListingOrder
from crystalmesh_retrieval.convert_material import material_message
from crystalmesh_retrieval.matching.matcher import CatalogMatcher
from crystalmesh_retrieval.models import ServedEncoder
from crystalmesh_retrieval.search.listing import page_after
from crystalmesh_retrieval.search.materials import MaterialReader
from crystalmesh_retrieval.search.ranking import ranked
from crystalmesh_retrieval.search.served import ServedCatalogs
from crystalmesh_retrieval.worker import Found, Outcome

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Answers:
    """Every method may take a while, and any thread may call it."""

    catalogs: ServedCatalogs
    encoder: ServedEncoder
    reader: MaterialReader
    matcher: CatalogMatcher

    def hits(
        self, outcome: Outcome | CrystalMeshError, catalog: str, *, whole: bool
    ) -> list[SearchHit] | CrystalMeshError:
        """What a search has found, in its order."""
        if isinstance(outcome, CrystalMeshError):
            return outcome
        if not isinstance(outcome, Found):
            raise TypeError(f"hits cannot come of {type(outcome).__name__}")
        snapshot = outcome.search.plan.catalog.snapshot
        hits = ranked(outcome, self.matcher)
        materials = self._materials(snapshot, [hit.location for hit in hits], catalog, whole=whole)
        return [
            SearchHit(similarity=hit.similarity, material=material)
            for hit, material in zip(hits, materials, strict=True)
        ]

    def material(self, snapshot: Snapshot, catalog: str, material_id: str) -> material_pb2.Material:
        """One material, whole; raises ResourceNotFoundError."""
        (location,) = snapshot.locate([material_id])
        if location is None:
            raise ResourceNotFoundError(
                f"the catalog {catalog} has no material {material_id[:80]!r}", resource="material"
            )
        return self._materials(snapshot, [location], catalog, whole=True)[0]

    def page(
        self, snapshot: Snapshot, catalog: str, order: ListingOrder
    ) -> tuple[list[material_pb2.Material], str]:
        """Some materials by id, and the last of these ids; "" where they are the last."""
        locations, last = page_after(snapshot, order.material_filter, order.after, order.size)
        return self._materials(snapshot, locations, catalog, whole=order.whole), last

    def catalog(self, name: str) -> catalog_pb2.Catalog:
        """All there is to know of a catalog; raises as `ServedCatalogs.snapshot`."""
        snapshot = self.catalogs.snapshot(name)
        message = catalog_message(name, snapshot, is_default=self._is_default(name))
        if self.encoder.info is not None:
            with suppress(
                DataCorruptError
            ):  # the vectors are damaged, so there is no index until it is mended
                indexed = self.catalogs.opened(name, self.encoder.info)
                if indexed is not None:
                    fill_index(message.index, indexed.info, self.encoder.info)
        return message

    def catalog_or_summary(self, name: str) -> catalog_pb2.Catalog | None:
        """The same; of a damaged catalog what its manifest says, and None of one that is gone or has none."""
        try:
            return self.catalog(name)
        except CrystalMeshError as error:
            _log.warning("catalog_not_readable", catalog=name, error=error.message)
        try:
            manifest = read_manifest(self.catalogs.places.folder(name))
        except CrystalMeshError:
            return None
        return manifest_message(name, manifest, is_default=self._is_default(name))

    def _is_default(self, name: str) -> bool:
        return name == self.catalogs.default_of(self.catalogs.places.names())

    def _materials(
        self, snapshot: Snapshot, locations: Sequence[Location], catalog: str, *, whole: bool
    ) -> list[material_pb2.Material]:
        read = self.reader.read_whole if whole else self.reader.read
        return [material_message(material, catalog, whole=whole) for material in read(snapshot, locations)]
