"""The table of a reference's entries: what the potential says of each, without structures.

Made from the lines that `relax_entries` writes:
`python -m crystalmesh_relaxation.reference.entries LINES TABLE`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

TABLE = Path(__file__).with_name("mp20_chgnet_0_3_0.parquet")
"""The shipped table. Formulas are of the Materials Project by way of MP-20, CC BY 4.0; energies are ours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=Path, help="what relax_entries wrote")
    parser.add_argument("table", type=Path, help="Parquet file to write, or to add to")
    arguments = parser.parse_args()
    known = pd.read_parquet(arguments.table) if arguments.table.exists() else None
    table = entries_table(arguments.lines, known)
    table.to_parquet(arguments.table, compression="zstd", index=False)
    print(f"{len(table)} entries, {int(table['converged'].sum())} of them converged, in {arguments.table}")


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
