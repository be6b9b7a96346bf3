"""The peer of the `relaxation` benchmark: a loop over CHGNet's own StructOptimizer.

`struct_optimizer_loop.py CRYSTALS.json THREADS` relaxes the crystals of a file one after the other, as its
users do, and prints a line of JSON with the seconds (without loading) and the final energies. THREADS 0
leaves torch's default.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from chgnet.model.dynamics import StructOptimizer
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

FMAX = 0.05
STEPS = 500


def relax_all(crystals: list[dict[str, Any]], threads: int) -> dict[str, Any]:
    if threads:
        torch.set_num_threads(threads)
    structures = {c["id"]: Structure(Lattice(c["cell"]), c["numbers"], c["frac_coords"]) for c in crystals}
    optimizer = StructOptimizer(optimizer_class="FIRE", use_device="cpu")
    first = next(iter(structures.values()))
    optimizer.relax(first, fmax=FMAX, steps=1, verbose=False)  # warm
    energies: dict[str, float] = {}
    converged: dict[str, bool] = {}
    started = time.perf_counter()
    for name, structure in structures.items():
        relaxed: Any = optimizer.relax(structure, fmax=FMAX, steps=STEPS, verbose=False)
        trajectory = relaxed["trajectory"]
        energies[name] = float(trajectory.energies[-1]) / len(structure)
        converged[name] = len(trajectory.energies) <= STEPS
    return {"seconds": time.perf_counter() - started, "energies": energies, "converged": converged}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    print(json.dumps(relax_all(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]))))
