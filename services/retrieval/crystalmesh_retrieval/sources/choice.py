"""Which source a user means: a name, an address or a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from crystalmesh_retrieval.catalog.material import Property
from crystalmesh_retrieval.sources.folder import CrystalFolder, is_crystal_file
from crystalmesh_retrieval.sources.matbench import MatbenchFile
from crystalmesh_retrieval.sources.materials_project import MaterialsProject, key_from_environment
from crystalmesh_retrieval.sources.nomad import NomadArchive
from crystalmesh_retrieval.sources.optimade import OptimadeProvider
from crystalmesh_retrieval.sources.published import PUBLISHED
from crystalmesh_retrieval.sources.source import Provenance, Source, SourceFileError
from crystalmesh_retrieval.sources.tables import CsvTable, ParquetTable
from crystalmesh_retrieval.sources.web import Web

_OPTIMADE = "optimade:"


@dataclass(frozen=True)
class Wishes:
    """What a user says besides the source itself."""

    provenance: Provenance = field(default_factory=Provenance)
    filter: str = ""  # of OPTIMADE; elements of NOMAD; chemical system of the Materials Project
    fields: Mapping[Property, str] = field(default_factory=dict)  # of OPTIMADE
    page_size: int | None = None


def source_named(name: str, wishes: Wishes, *, downloads: Path, web: Web) -> Source:
    """The source that a name means.

    Raises SourceFileError where there is none, TokenMissingError where it needs a key, and as
    `PublishedFile.fetch` where it has to be downloaded.
    """
    database = _database(name, wishes, web)
    if database is not None:
        return replace(database, page_size=wishes.page_size or database.page_size)
    if name in PUBLISHED and not Path(name).exists():
        return MatbenchFile(PUBLISHED[name].fetch(downloads, web))
    return _file(Path(name), wishes.provenance)


def _database(
    name: str, wishes: Wishes, web: Web
) -> OptimadeProvider | NomadArchive | MaterialsProject | None:
    if name.startswith(_OPTIMADE):
        return OptimadeProvider(
            name.removeprefix(_OPTIMADE),
            filter=wishes.filter,
            fields=wishes.fields,
            provenance=wishes.provenance,
            web=web,
        )
    if name == "nomad":
        return NomadArchive(elements=tuple(wishes.filter.split("-")) if wishes.filter else (), web=web)
    if name == "materials-project":
        return MaterialsProject(key_from_environment(), chemical_system=wishes.filter, web=web)
    return None


def _file(path: Path, provenance: Provenance) -> Source:
    if not path.exists():
        raise SourceFileError(
            f"{path} is no file or folder, nor one of optimade:URL, nomad, materials-project, "
            f"{', '.join(PUBLISHED)}",
            field="source",
        )
    plain = path.name.removesuffix(".gz").lower()
    if path.is_dir() or is_crystal_file(path):
        return CrystalFolder(path, provenance)
    if plain.endswith(".parquet"):
        return ParquetTable(path, provenance)
    if plain.endswith(".csv"):
        return CsvTable(path, provenance)
    if plain.endswith(".json"):
        return MatbenchFile(path)
    raise SourceFileError(
        f"{path}: files are read that end in .parquet, .csv, .json (of MatBench), .cif or .vasp, or that "
        "begin with POSCAR",
        field="source",
    )
