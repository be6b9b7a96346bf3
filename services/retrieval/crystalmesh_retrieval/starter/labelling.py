"""What is known of relaxed crystals: energies by the stability service, band gaps by the property service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_client import Failed, Mesh, Phase
from crystalmesh_common.crystal.composition import composition_of
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_retrieval.catalog.material import PropertyValue, SourceKind, ValueSource
from crystalmesh_retrieval.starter.candidates import crystal_of
from crystalmesh_retrieval.starter.ledger import Record

SHIPPED = "mp20_chgnet_0_3_0"
"""The reference that comes with the relaxation service, by its files."""
UNION = "starter-union"
"""The reference of the labels: the shipped entries and the catalog's own, all relaxed by one potential."""


BAND_GAP: Final = "band_gap_ev"
_GAP_DECIMALS = 3


@dataclass(frozen=True)
class Labels:
    """What services say of a relaxed crystal: energies in eV/atom, and its gap in eV where one is known."""

    formation_energy: float
    energy_above_hull: float
    band_gap: PropertyValue | None = None


def write_union(relaxed: Sequence[Record], folder: Path) -> Path:
    """The union of the shipped reference with relaxed crystals, as a reference that the service can serve.

    Answers its description. Those relaxed by another potential than the reference's have no place in it.
    """
    shipped = files("crystalmesh_relaxation") / "reference"
    described: dict[str, Any] = json.loads((shipped / f"{SHIPPED}.json").read_text())
    with as_file(shipped / f"{SHIPPED}.parquet") as path:
        table = pq.read_table(path, columns=["id", "formula", "energy_ev_per_atom", "converged"])
    ours = [record for record in relaxed if record["model"] == described["model"]]
    added = pa.table(
        {
            "id": [record["id"] for record in ours],
            "formula": [formula_of(record) for record in ours],
            "energy_ev_per_atom": [record["energy_ev_per_atom"] for record in ours],
            "converged": [True] * len(ours),
        },
        schema=table.schema,
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([table, added]), folder / f"{UNION}.parquet")
    description = folder / f"{UNION}.json"
    changed = {"name": UNION, "table": f"{UNION}.parquet", "updated": None}
    description.write_text(json.dumps({**described, **changed}))
    return description


def labels_of(mesh: Mesh, relaxed: Sequence[Record]) -> Mapping[str, Labels]:
    """By id, against the union, which the mesh has to serve; those that it cannot score are left out."""
    phases = [
        Phase(
            formula_of(record),
            id=record["id"],
            total_energy_ev=record["energy_ev_per_atom"] * len(record["numbers"]),
        )
        for record in relaxed
    ]
    scheme = mesh.stability.reference(UNION).summary.energy_scheme
    return {
        outcome.id: Labels(outcome.formation_energy_ev_per_atom, outcome.energy_above_hull_ev_per_atom)
        for outcome in mesh.stability.score_many(phases, reference=UNION, energy_scheme=scheme)
        if not isinstance(outcome, Failed)
    }


def band_gaps_of(mesh: Mesh, relaxed: Sequence[Record]) -> Mapping[str, PropertyValue]:
    """By id; crystals unlike what the model was trained on are left out, as are those that it fails on."""
    gaps = {}
    for outcome in mesh.property.predict_many([crystal_of(record) for record in relaxed], [BAND_GAP]):
        if isinstance(outcome, Failed) or outcome.out_of_domain:
            continue
        gap = outcome[BAND_GAP]
        gaps[outcome.id] = PropertyValue(
            round(gap.value, _GAP_DECIMALS),
            ValueSource(SourceKind.PREDICTION, gap.source.name, gap.source.version),
            None if gap.uncertainty is None else round(gap.uncertainty, _GAP_DECIMALS),
        )
    return gaps


def formula_of(record: Record) -> str:
    """All atoms of the cell: "Na1Cl1"."""
    return "".join(f"{symbol_of(number)}{count}" for number, count in composition_of(crystal_of(record)))
