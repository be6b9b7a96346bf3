"""A folder of crystal files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.catalog.material import MaterialInput, MaterialSource
from crystalmesh_retrieval.sources.source import PAGE_ROWS, BadRow, Page, Provenance

_SUFFIXES = (".cif", ".mcif", ".vasp", ".poscar")
_NAMES = ("POSCAR", "CONTCAR")


class CrystalFolder:
    """Every CIF, POSCAR and CONTCAR below a folder, or one such file; gzipped ones, too.

    A material is named after its file with the folders on the way, "oxides/TiO2"; its cursor is that file,
    so files may be added meanwhile.
    """

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self._path = path
        self._root = path if path.is_dir() else path.parent
        self._provenance = provenance

    @property
    def key(self) -> str:
        return f"files:{self._path.resolve()}"

    @property
    def attribution(self) -> str:
        return self._provenance.attribution

    def pages(self, cursor: str) -> Iterator[Page]:
        files = self._files()
        rows: list[MaterialInput | BadRow] = []
        for file in files:
            name = file.relative_to(self._root).as_posix()
            if name <= cursor:
                continue
            rows += self._materials(file, name)
            if len(rows) >= PAGE_ROWS:
                yield Page(rows, name, len(files))
                rows = []
        if rows:
            yield Page(rows, name, len(files))

    def _files(self) -> list[Path]:
        if not self._path.is_dir():
            return [self._path]
        found = [path for path in self._path.rglob("*") if is_crystal_file(path) and path.is_file()]
        return sorted(found, key=lambda path: path.relative_to(self._root).as_posix())

    def _materials(self, file: Path, name: str) -> Iterator[MaterialInput | BadRow]:
        try:
            crystals = read_crystals(file)
        except CrystalMeshError as error:
            yield BadRow(name, error)
            return
        folder = name.rpartition("/")[0]
        for crystal in crystals:
            material_id = f"{folder}/{crystal.id}" if folder else crystal.id
            provenance = self._provenance
            yield MaterialInput(
                id=material_id,
                crystal=replace(crystal, scalars={}),
                source=MaterialSource(provenance.database, name, license=provenance.license),
            )


def is_crystal_file(path: Path) -> bool:
    """Whether it is named like a CIF, a POSCAR or a CONTCAR."""
    name = path.name.removesuffix(".gz")
    return name.lower().endswith(_SUFFIXES) or name.startswith(_NAMES)
