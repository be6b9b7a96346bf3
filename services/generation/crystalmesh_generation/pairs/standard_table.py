"""All crystals of a table in standard settings, kept in a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import symmetry_of
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.durable import file_sha256
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidCrystalError, InvalidFieldError
from crystalmesh_generation.pairs.columns import (
    crystal_columns,
    crystals_of,
    origin_of,
    read_table,
    write_table,
)
from crystalmesh_generation.pairs.standard import SYMPREC_ANGSTROM, standard_setting

FORMAT = 1
MAX_ATOMS = 200

Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how much."""


def quietly(_what: str, _done: int, _all: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, eq=False)
class StandardCrystal:
    """A row of a table in its standard setting."""

    row: int
    crystal: Crystal
    space_group: int  # of this setting within 0.1 Å; 0 where it cannot be determined
    prototype: str
    """Equal for crystals of one anonymous formula, space group and kinds of sites: "1 m-3m | 1 m-3m, 225"."""


@dataclass(frozen=True, eq=False)
class StandardTable:
    """The rows of a table that are sound crystals; the others are named."""

    crystals: Sequence[StandardCrystal]
    left_out: tuple[tuple[int, str], ...]  # row and what is wrong with it
    sha256: str  # of the table


def standardized(table: Path, path: Path, progress: Progress = quietly) -> StandardTable:
    """Every crystal of a Parquet table in the layout of docs/data.md, kept in the Parquet file `path`.

    A file that was made from the same table is read as it is, a stale one is made again. Takes about 1.5 ms
    a row. Raises `InvalidFieldError` for a table that is none.
    """
    sha256 = table_sha256(table)
    if path.exists() and _made_from(path) == sha256:
        return read_standard(path)
    crystals, left_out = [], []
    rows = table_rows(table)
    for number, row in enumerate(rows):
        progress("standard settings", number, len(rows))
        try:
            crystals.append(_standard(number, row))
        except (CrystalMeshError, ValueError, TypeError) as error:
            left_out.append((number, str(error)))
    _write(path, StandardTable(crystals, tuple(left_out), sha256))
    # As it was written, so that the numbers are the same however often it is read.
    return read_standard(path)


def read_standard(path: Path) -> StandardTable:
    """What `standardized` wrote. Raises `DataCorruptError` for anything else."""
    table, origin = read_table(path, FORMAT)
    columns = (table.column(name).to_pylist() for name in ("row", "space_group", "prototype"))
    crystals = [
        StandardCrystal(row, crystal, group, prototype)
        for row, group, prototype, crystal in zip(*columns, crystals_of(table), strict=True)
    ]
    left_out = tuple((int(row), str(reason)) for row, reason in origin["left_out"])
    return StandardTable(crystals, left_out, str(origin["table_sha256"]))


def table_sha256(table: Path) -> str:
    """Raises `InvalidFieldError` for a file that cannot be read."""
    try:
        return file_sha256(table)
    except OSError as error:
        raise InvalidFieldError(f"{table} cannot be read: {error.strerror}", field="table") from error


def table_rows(table: Path) -> Sequence[Mapping[str, Any]]:
    """The rows with what makes a crystal. Raises `InvalidFieldError` for a table without that."""
    try:
        content = pq.read_table(table, columns=["id", "cell", "numbers", "frac_coords"])
    except (pa.ArrowException, OSError) as error:
        said = str(error).partition("\n")[0]
        raise InvalidFieldError(f"{table} is no table of crystals: {said}", field="table") from error
    if len(content.column_names) != 4:
        raise InvalidFieldError(f"{table} lacks id, cell, numbers or frac_coords", field="table")
    rows: list[dict[str, Any]] = content.to_pylist()
    return rows


def prototype_of(crystal: Crystal) -> tuple[int, str]:
    """The space group within 0.1 Å and the prototype, of a crystal in its standard setting."""
    try:
        symmetry = symmetry_of(crystal, symprec=SYMPREC_ANGSTROM)
    except InvalidCrystalError:
        _, counts = np.unique(crystal.numbers, return_counts=True)
        return 0, f"{' | '.join(map(str, sorted(counts.tolist())))}, none"
    orbits: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for number, orbit in zip(crystal.numbers.tolist(), symmetry.orbits, strict=True):
        orbits[number][orbit] += 1
    kinds = (
        " + ".join(sorted(_site(size, symmetry.site_symmetries[first]) for first, size in element.items()))
        for element in orbits.values()
    )
    return symmetry.space_group_number, f"{' | '.join(sorted(kinds))}, {symmetry.space_group_number}"


def _site(size: int, symmetry: str) -> str:
    """Size of an orbit and its symmetry, the same in every orientation."""
    return f"{size} {''.join(sorted(symmetry.replace('.', '')))}"


def _standard(number: int, row: Mapping[str, Any]) -> StandardCrystal:
    crystal = Crystal(
        cell=np.array(row["cell"], dtype=np.float64).reshape(3, 3),
        numbers=np.array(row["numbers"], dtype=np.int64),
        frac_coords=np.array(row["frac_coords"], dtype=np.float64).reshape(-1, 3),
        id=str(row["id"]),
    )
    check_crystal(crystal, max_atoms=MAX_ATOMS)
    standard = standard_setting(crystal)
    return StandardCrystal(number, standard, *prototype_of(standard))


def _write(path: Path, table: StandardTable) -> None:
    columns = {
        "row": pa.array([each.row for each in table.crystals], pa.int32()),
        **crystal_columns([each.crystal for each in table.crystals]),
        "space_group": pa.array([each.space_group for each in table.crystals], pa.int16()),
        "prototype": pa.array([each.prototype for each in table.crystals], pa.string()),
    }
    origin = {"format": FORMAT, "table_sha256": table.sha256, "left_out": table.left_out}
    write_table(path, pa.table(columns), origin)


def _made_from(path: Path) -> str | None:
    """The checksum of the table that a file was made from; None for what is damaged or of another format."""
    origin = origin_of(path)
    return str(origin["table_sha256"]) if origin is not None and origin.get("format") == FORMAT else None
