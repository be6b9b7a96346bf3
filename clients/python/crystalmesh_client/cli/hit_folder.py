"""A folder for what searches found: crystals, and a list of them as a table and as JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

from crystalmesh_client.cli.material_views import material_fields
from crystalmesh_client.cli.outputs import OutputFolder, one_line_for_files

if TYPE_CHECKING:
    from crystalmesh_client.searches import SearchHits

_COLUMNS = ("query", "rank", "similarity", "id", "formula", "space_group_number", "file")


class HitFolder:
    """Takes what queries found, as each is done."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._crystals = OutputFolder(path)
        self._found: list[SearchHits] = []

    def take(self, found: SearchHits) -> None:
        """Write a CIF of each material, named after its id."""
        for material in found.materials:
            if material.crystal is not None:
                self._crystals.write_crystal(material.crystal)
        self._found.append(found)

    def write_index(self) -> None:
        """Write hits.csv and hits.jsonl: a line a hit, with query, rank, and the file of its crystal."""
        from crystalmesh_client.properties import PROPERTY_NAMES  # noqa: PLC0415

        with (
            one_line_for_files(self._path / "hits.csv"),
            (self._path / "hits.csv").open("w", newline="") as table_file,
            (self._path / "hits.jsonl").open("w") as lines,
        ):
            table = csv.writer(table_file)
            table.writerow((*_COLUMNS, *PROPERTY_NAMES))
            for found in self._found:
                for rank, hit in enumerate(found, start=1):
                    material = hit.material
                    file = self._crystals.file(material.id, ".cif").name
                    named = (material.id, material.formula, material.space_group_number, file)
                    values = (material.value(name) for name in PROPERTY_NAMES)
                    table.writerow((found.id, rank, hit.similarity, *named, *values))
                    fields = {"query": found.id, "rank": rank, "similarity": hit.similarity, "file": file}
                    lines.write(json.dumps(fields | material_fields(material)) + "\n")
