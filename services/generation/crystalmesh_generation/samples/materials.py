"""The materials that a server holds, to draw references from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import space_group_number
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import CrystalError, CrystalMeshError, DataCorruptError
from crystalmesh_generation.language.portrait import TOLD_PROPERTIES
from crystalmesh_generation.pairs.standard import SYMPREC_ANGSTROM

_log = structlog.get_logger(__name__)

_MAX_ATOMS = 200
"""Larger cells are no starting points, and are passed over."""
_MANIFEST = "manifest.json"
_CRYSTAL_FILES = (".cif", ".vasp", ".poscar")
_BATCH_ROWS = 4096


@dataclass(frozen=True, eq=False)
class Material:
    """A crystal, under the id that the server knows it by, with what is known about it."""

    crystal: Crystal
    properties: dict[str, float]  # by the names in the API
    space_group_number: int = 1  # within 0.1 Å


def held_materials(path: Path | None) -> list[Material]:
    """The materials of a Parquet table, a catalog or a folder of crystals; without one the starter catalog.

    A table has the columns `id`, `cell`, `numbers`, `frac_coords`, and values by the properties' names. What
    is too large or no crystal is passed over. Raises DataCorruptError for what cannot be read at all.
    """
    source = _starter() if path is None else _of(path.expanduser())
    held = [material for material in source if _is_good(material.crystal)]
    _log.info("materials", count=len(held), path=None if path is None else str(path))
    return held


def _starter() -> Iterator[Material]:
    if find_spec("crystalmesh_retrieval") is None:
        return
    from crystalmesh_retrieval.catalog.places import (  # noqa: PLC0415 -- another service's package
        SHIPPED,
        STARTER,
    )

    folder = SHIPPED / STARTER
    if (folder / _MANIFEST).exists():
        yield from _of_catalog(folder)


def _of(path: Path) -> Iterator[Material]:
    if (path / _MANIFEST).exists():
        yield from _of_catalog(path)
    elif path.is_dir():
        yield from _of_folder(path)
    elif path.suffix == ".parquet":
        yield from _of_table(path)
    else:
        raise DataCorruptError(f"{path} is no Parquet table, catalog or folder of crystals", path=path)


def _of_catalog(folder: Path) -> Iterator[Material]:
    try:
        from crystalmesh_retrieval.catalog.snapshot import (  # noqa: PLC0415 -- another service's package
            open_snapshot,
        )
    except ImportError:
        raise DataCorruptError(
            f"{folder} is a catalog, and crystalmesh-retrieval, which reads those, is not installed"
        ) from None
    for material in open_snapshot(folder).materials():
        values = {str(name): known.value for name, known in material.properties.items()}
        yield Material(material.crystal, values, material.space_group_number)


def _of_folder(folder: Path) -> Iterator[Material]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _CRYSTAL_FILES:
            try:
                yield from (_analysed(crystal, {}) for crystal in read_crystals(path))
            except CrystalError as error:
                _log.warning("material_passed_over", path=str(path), reason=error.message)


def _of_table(path: Path) -> Iterator[Material]:
    import pyarrow as pa  # noqa: PLC0415 -- an optional library
    import pyarrow.parquet as pq  # noqa: PLC0415 -- likewise

    try:
        with pq.ParquetFile(path) as file:
            present = set(file.schema_arrow.names)
            columns = ["id", "cell", "numbers", "frac_coords", *(present & set(TOLD_PROPERTIES))]
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                yield from map(_of_row, batch.to_pylist())
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataCorruptError(f"{path} is no table of crystals: {error}", path=path) from error


def _of_row(row: dict[str, Any]) -> Material:
    crystal = Crystal(
        cell=np.array(row["cell"], dtype=np.float64).reshape(3, 3),
        numbers=np.array(row["numbers"], dtype=np.int64),
        frac_coords=np.array(row["frac_coords"], dtype=np.float64).reshape(-1, 3),
        id=str(row["id"]),
    )
    values = {name: row.get(name) for name in TOLD_PROPERTIES}
    # Tables say in two ways that a value is not known: by nothing, and by NaN.
    known = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    return _analysed(crystal, known)


def _analysed(crystal: Crystal, properties: dict[str, float]) -> Material:
    """With its symmetry, which takes half a millisecond."""
    group = 1
    with suppress(CrystalMeshError):
        check_crystal(crystal, max_atoms=_MAX_ATOMS)
        group = space_group_number(crystal, symprec=SYMPREC_ANGSTROM)
    return Material(crystal, properties, group)


def _is_good(crystal: Crystal) -> bool:
    try:
        check_crystal(crystal, max_atoms=_MAX_ATOMS)
    except CrystalMeshError:
        return False
    return True
