"""The table of a reference's entries: what the potential says of each, without structures.

Made from the lines that `relax_entries` writes:
`python -m crystalmesh_relaxation.reference.entries LINES HULL TABLE`, where HULL is MP-20's table of DFT
formation energies. Writes TABLE and, beside it, the description that makes it a reference.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential
from crystalmesh_relaxation.reference.elements import elemental_energies, energies_of_ground_states
from crystalmesh_relaxation.reference.options import OPTIONS
from crystalmesh_relaxation.stability.reference import ReferenceKind
from crystalmesh_relaxation.stability.tables import FORMATION_ENERGY, ReferenceDescription

TABLE = Path(__file__).with_name("mp20_chgnet_0_3_0.parquet")
"""The shipped table. Formulas are of the Materials Project by way of MP-20, CC BY 4.0; energies are ours."""
NAME = "mp20-chgnet-0.3.0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path, help="what relax_entries wrote")
    parser.add_argument("hull", type=Path, help="Parquet file with id and formation_energy_ev_per_atom")
    parser.add_argument("table", type=Path, help="Parquet file to write, or to add to")
    arguments = parser.parse_args()
    known = pd.read_parquet(arguments.table) if arguments.table.exists() else None
    table = entries_table(arguments.lines, known)
    table.to_parquet(arguments.table, compression="zstd", index=False)
    hull = pd.read_parquet(arguments.hull, columns=["id", FORMATION_ENERGY])
    dft = {str(key): float(energy) for key, energy in hull.itertuples(index=False)}
    potential = FastCHGNetPotential()
    elements = elemental_energies(table, dft, energies_of_ground_states(potential, OPTIONS))
    described = description(arguments.table.name, table, potential.info.name, elements)
    arguments.table.with_suffix(".json").write_text(described.model_dump_json(indent=2) + "\n")
    print(f"{len(table)} entries, {int(table['converged'].sum())} of them converged, in {arguments.table}")


def description(
    file: str, table: pd.DataFrame, model: str, elements: Mapping[str, float]
) -> ReferenceDescription:
    """What makes the table a reference."""
    return ReferenceDescription(
        name=NAME,
        table=Path(file),
        kind=ReferenceKind.MODEL,
        energy_scheme="MP2020",
        model=model,
        description=(
            f"The {len(table):,} crystals of MP-20 (Materials Project, up to 20 atoms a cell) whose "
            f"structures are published, each relaxed with {model} (L-BFGS, 0.05 eV/angstrom, 0.2 GPa). "
            "Scored with the same potential, its bias largely cancels."
        ),
        attribution=(
            "Formulas: Materials Project, CC BY 4.0 (A. Jain et al., APL Materials 1, 011002, 2013), as "
            "selected for MP-20 (T. Xie et al., ICLR 2022). Energies: CrystalMesh, with CHGNet (B. Deng "
            "et al., Nat. Mach. Intell. 5, 1031, 2023)."
        ),
        license="CC-BY-4.0",
        updated=datetime.now(UTC).date(),
        elemental_energies={model: {symbol: round(energy, 6) for symbol, energy in elements.items()}},
    )


def entries_table(lines: Path, known: pd.DataFrame | None = None) -> pd.DataFrame:
    """The entries of the lines and those known before, by id, each id once."""
    rows = [_row(json.loads(line)) for line in lines.read_text().splitlines()]
    table = pd.DataFrame(rows).astype({"n_sites": "int16", "steps": "int16"})
    for name in ("energy_ev_per_atom", "energy_as_given_ev_per_atom", "volume_per_atom"):
        table[name] = table[name].astype("float32")
    if known is not None:
        table = pd.concat([known, table])
    return table.drop_duplicates("id", keep="last").sort_values("id", ignore_index=True)


def entry_ids(table: Path) -> set[str]:
    """The ids that a table has already; none where there is no table."""
    return set(pd.read_parquet(table, columns=["id"])["id"]) if table.exists() else set()


def _row(entry: dict[str, object]) -> dict[str, object]:
    composition = entry["composition"]
    counts = composition.values() if isinstance(composition, dict) else ()
    return {
        "id": entry["id"],
        "formula": entry["formula"],
        "n_sites": sum(counts),
        "energy_ev_per_atom": entry.get("energy_ev_per_atom"),
        "energy_as_given_ev_per_atom": entry.get("energy_as_given_ev_per_atom"),
        "volume_per_atom": entry.get("volume_per_atom"),
        "steps": entry.get("steps", 0),
        "converged": entry.get("stop") == "converged",
        "problem": "" if entry.get("stop") == "converged" else str(entry.get("stop", entry.get("error"))),
    }


if __name__ == "__main__":
    main()
