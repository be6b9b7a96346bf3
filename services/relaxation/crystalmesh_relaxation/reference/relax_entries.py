"""Relax the entries of a reference: `python -m crystalmesh_relaxation.reference.relax_entries OUT PARQUET…`.

Each result is a line of JSON in OUT, written as it comes. Started again, it goes on with the entries that
have no line yet, so it can be killed at any moment and loses at most the crystals in flight.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import torch

from crystalmesh_common.crystal.composition import composition_of, reduced_formula
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential
from crystalmesh_relaxation.reference.entries import TABLE, entry_ids
from crystalmesh_relaxation.reference.options import OPTIONS
from crystalmesh_relaxation.relaxing.in_flight import relax_in_flight
from crystalmesh_relaxation.relaxing.task import Relaxation, RelaxationTask

_BATCH_EDGES = 5000
_REPORT_SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="file of JSON lines to write or go on with")
    parser.add_argument(
        "tables", type=Path, nargs="+", help="Parquet files with id, cell, numbers, frac_coords"
    )
    parser.add_argument("--known", type=Path, default=TABLE, help="table of entries that are done already")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    done = finished_ids(arguments.out) | entry_ids(arguments.known)
    crystals = [crystal for crystal in read_crystals(arguments.tables) if crystal.id not in done]
    # In random order, so that what is there at any moment is a fair sample.
    order = np.random.default_rng(0).permutation(len(crystals))
    print(f"{len(done)} entries are done, {len(crystals)} are left", flush=True)
    with arguments.out.open("a") as out:
        ledger = Ledger(out, len(crystals))
        shares = [[crystals[k] for k in order[n :: arguments.threads]] for n in range(arguments.threads)]
        workers = [threading.Thread(target=relax_share, args=(share, ledger)) for share in shares]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def finished_ids(path: Path) -> set[str]:
    """The ids that have a whole line; a line cut short by a crash is taken out of the file."""
    if not path.exists():
        return set()
    lines = path.read_text().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
        path.write_text("".join(lines))
    return {json.loads(line)["id"] for line in lines}


def read_crystals(tables: Sequence[Path]) -> Iterator[Crystal]:
    for path in tables:
        for row in pd.read_parquet(path, columns=["id", "cell", "numbers", "frac_coords"]).itertuples():
            yield crystal_of_row(row)


def crystal_of_row(row: Any) -> Crystal:
    """The crystal in a row of a data set, with flat columns id, cell, numbers and frac_coords."""
    return Crystal(
        cell=np.asarray(row.cell, dtype=np.float64).reshape(3, 3),
        numbers=np.asarray(row.numbers, dtype=np.int64),
        frac_coords=np.asarray(row.frac_coords, dtype=np.float64).reshape(-1, 3),
        id=str(row.id),
    )


def relax_share(crystals: Sequence[Crystal], ledger: Ledger) -> None:
    """Relax on this thread; torch shares the cores between threads by us having one each."""
    torch.set_num_threads(1)
    potential = FastCHGNetPotential()
    tasks = (RelaxationTask(crystal, OPTIONS) for crystal in crystals)
    for task, result in relax_in_flight(potential, tasks, max_edges=_BATCH_EDGES):
        ledger.write(entry(task.crystal, result))


def entry(crystal: Crystal, result: Relaxation | CrystalMeshError) -> dict[str, Any]:
    """What the table keeps of a crystal; an energy only where the relaxation converged."""
    fields: dict[str, Any] = {
        "id": crystal.id,
        "formula": reduced_formula(crystal),
        "composition": {str(number): count for number, count in composition_of(crystal)},
    }
    if isinstance(result, CrystalMeshError):
        return {**fields, "error": result.reason}
    return {
        **fields,
        "stop": result.stop_reason.value,
        "steps": result.steps,
        "energy_ev_per_atom": round(result.final.energy_ev_per_atom, 6),
        "energy_as_given_ev_per_atom": round(result.initial.energy_ev_per_atom, 6),
        "volume_per_atom": round(result.crystal.volume / len(crystal), 4),
    }


class Ledger:
    """One file that several threads write whole lines to."""

    def __init__(self, out: TextIO, total: int) -> None:
        self._out = out
        self._total = total
        self._count = 0
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._reported = -math.inf

    def write(self, fields: dict[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps(fields) + "\n")
            self._out.flush()
            self._count += 1
            now = time.monotonic()
            if now - self._reported > _REPORT_SECONDS or self._count == self._total:
                self._reported = now
                rate = self._count / max(now - self._started, 1e-9)
                left = (self._total - self._count) / rate / 60
                print(f"{self._count}/{self._total}, {rate:.2f}/s, {left:.0f} min left", flush=True)


if __name__ == "__main__":
    main()
