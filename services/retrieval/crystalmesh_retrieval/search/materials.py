"""Materials off the disk, with the texts that nobody brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pyarrow as pa

from crystalmesh_common.crystal.description import describe_properties, describe_structure
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.catalog.material import Material, Property, PropertyValue
from crystalmesh_retrieval.catalog.rows import materials_of
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot
from crystalmesh_retrieval.search.recent import Recent

_KEPT_TEXTS = 20_000


class MaterialReader:
    """Reads materials of any catalog and remembers what it has decoded. Threads may share it."""

    def __init__(self, cache_bytes: int) -> None:
        self._chunks: Recent[tuple[str, int], pa.Table] = Recent(cache_bytes, lambda table: table.nbytes)
        self._texts: Recent[bytes, str] = Recent(_KEPT_TEXTS)

    def read(self, snapshot: Snapshot, locations: Sequence[Location]) -> list[Material]:
        """The materials at these places, in this order, with the descriptions that were brought."""
        by_chunk: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for position, (number, row) in enumerate(locations):
            chunk, offset = snapshot.segments[number].chunk_of(row)
            by_chunk.setdefault((number, chunk), []).append((position, offset))
        found: dict[int, Material] = {}
        for (number, chunk), places in by_chunk.items():
            segment = snapshot.segments[number]
            table = self._chunks.get((segment.entry.sha256, chunk), partial(segment.table, chunk))
            rows = table.take(pa.array([offset for _, offset in places]))
            found.update(zip((position for position, _ in places), materials_of(rows), strict=True))
        return [found[position] for position in range(len(locations))]

    def read_whole(self, snapshot: Snapshot, locations: Sequence[Location]) -> list[Material]:
        """The same, with descriptions written for those that were brought without."""
        return [
            self._described(snapshot, location, material)
            for location, material in zip(locations, self.read(snapshot, locations), strict=True)
        ]

    def _described(self, snapshot: Snapshot, location: Location, material: Material) -> Material:
        structure_text = material.structure_description
        if not structure_text:
            content = snapshot.content_hash(location)
            structure_text = self._texts.get(content, lambda: _structure_text(material))
        return replace(
            material,
            structure_description=structure_text,
            property_description=material.property_description
            or property_text(material.formula, material.space_group_number, material.properties),
        )


def property_text(
    formula: str, space_group_number: int | None, properties: Mapping[Property, PropertyValue]
) -> str:
    """What is known of a material, in the words that the towers read."""
    return describe_properties(
        {name.value: known.value for name, known in properties.items()},
        formula=formula,
        space_group_number=space_group_number,
    )


def _structure_text(material: Material) -> str:
    try:
        return describe_structure(material.crystal)
    except CrystalMeshError:  # one that is in the catalog and whose symmetrized cell is none
        return ""
