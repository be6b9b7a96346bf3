"""References out of files: a description in JSON beside a table of formulas and energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crystalmesh_common.crystal.elements import SYMBOLS
from crystalmesh_common.runtime.errors import InvalidFieldError, ModelFailedError
from crystalmesh_relaxation.stability.entries import Entry, EntryTable
from crystalmesh_relaxation.stability.formulas import amounts_of
from crystalmesh_relaxation.stability.reference import Provenance, Reference, ReferenceKind

FORMATION_ENERGY = "formation_energy_ev_per_atom"
TOTAL_ENERGY = "energy_ev_per_atom"


class ReferenceFileError(ModelFailedError):
    """A reference cannot be read; the message names the file and what is wrong with it."""


class ReferenceDescription(BaseModel):
    """The JSON file that makes a table a reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="what requests ask for")
    table: Path = Field(description="Parquet or CSV file, or folder of Parquet files, beside the description")
    kind: ReferenceKind = Field(description="dft, or model: one potential relaxed every entry")
    energy_scheme: str = Field(min_length=1, description="of its energies: MP2020, MP2018, PBE")
    model: str = Field("", description="the potential behind the kind `model`")
    description: str = Field("", description="what is in it and how it was made")
    attribution: str = Field("", description="whom its licence asks to name")
    license: str = Field("", description="SPDX expression")
    updated: date | None = Field(None, description="when its entries were last changed")
    elemental_energies: Mapping[str, Mapping[str, float]] = Field(
        default_factory=dict,
        description="what total energies are counted from, eV/atom: potential, or '' for DFT, then symbol",
    )


def read_reference(path: Path) -> Reference:
    """The reference that a description describes.

    Columns of its table: `id` (unset: the row's number), `formula`, and `formation_energy_ev_per_atom`, or
    `energy_ev_per_atom` as its potential gives it, which needs elemental energies. Where there is
    `converged`, rows without it are left out. Raises ReferenceFileError.
    """
    try:
        description = ReferenceDescription.model_validate_json(path.read_text())
        _check_symbols(description)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise ReferenceFileError(f"reference {path}: {where}: {problem['msg']}") from None
    except (OSError, ValueError) as error:
        raise ReferenceFileError(f"reference {path}: {error}") from None
    table = path.parent / description.table
    try:
        elements = description.elemental_energies.get(description.model)
        entries = EntryTable(_entries(_read(table), elements))
    except (OSError, pa.ArrowException, InvalidFieldError, ValueError) as error:
        raise ReferenceFileError(f"reference {description.name}: {table}: {error}") from None
    return Reference(_provenance(description), entries, description.elemental_energies)


def read_entries(path: Path) -> list[Entry]:
    """The entries of a table of formation energies, without a description. Raises ReferenceFileError."""
    try:
        return _entries(_read(path), None)
    except (OSError, pa.ArrowException, InvalidFieldError, ValueError) as error:
        raise ReferenceFileError(f"{path} is no table of entries: {str(error).splitlines()[0]}") from None


def _provenance(description: ReferenceDescription) -> Provenance:
    return Provenance(
        name=description.name,
        kind=description.kind,
        energy_scheme=description.energy_scheme,
        model=description.model,
        description=description.description,
        attribution=description.attribution,
        license=description.license,
        updated=description.updated,
    )


def _check_symbols(description: ReferenceDescription) -> None:
    for energies in description.elemental_energies.values():
        if unknown := sorted(set(energies).difference(SYMBOLS)):
            raise ValueError(f"elemental_energies: {unknown[0]!r} is no element")


def _read(path: Path) -> pa.Table:
    if path.suffix == ".csv":
        return pa.csv.read_csv(path)
    return pa.parquet.read_table(path)


def _entries(table: pa.Table, elements: Mapping[str, float] | None) -> list[Entry]:
    if "formula" not in table.column_names:
        raise ValueError("there is no column `formula`")
    if "converged" in table.column_names:
        table = table.filter(table["converged"])
    formulas = table["formula"].to_pylist()
    energies = _formation_energies(table, formulas, elements)
    ids = table["id"].to_pylist() if "id" in table.column_names else range(len(formulas))
    entries = [
        Entry(str(entry_id), formula, energy)
        for entry_id, formula, energy in zip(ids, formulas, energies, strict=True)
        if energy is not None
    ]
    if not entries:
        raise ValueError("there are no entries in it")
    if len({entry.id for entry in entries}) < len(entries):
        raise ValueError("two entries have one id")
    return entries


def _formation_energies(
    table: pa.Table, formulas: Sequence[str], elements: Mapping[str, float] | None
) -> list[float | None]:
    """By row; None where there is none, or an element's energy is not known."""
    if FORMATION_ENERGY in table.column_names:
        return list(table[FORMATION_ENERGY].to_pylist())
    if TOTAL_ENERGY not in table.column_names or elements is None:
        raise ValueError(f"there is no column `{FORMATION_ENERGY}`, nor total and elemental energies")
    return [
        _formation_energy(amounts_of(formula), energy, elements)
        for formula, energy in zip(formulas, table[TOTAL_ENERGY].to_pylist(), strict=True)
    ]


def _formation_energy(
    amounts: Mapping[str, float], energy: float | None, elements: Mapping[str, float]
) -> float | None:
    if energy is None or any(symbol not in elements for symbol in amounts):
        return None
    return energy - sum(n * elements[symbol] for symbol, n in amounts.items()) / sum(amounts.values())
