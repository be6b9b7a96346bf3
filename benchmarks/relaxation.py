"""Relaxations per second through the mesh, against loops over CHGNet's own StructOptimizer in the same run.

MP-20 test crystals, rattled by 0.1 Å, FIRE, fmax 0.05 eV/Å, at most 500 steps, atoms and cell. The peers:
the loop as its users run it (torch's default threads), and the best that it can be configured to here, one
thread each in two processes; then ASE and TorchSim over the mesh's own network, configured likewise. Loading
is not timed on any side.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crystals import mp20_test
from benchmarks.optimizer_loops import torchsim_is_here
from benchmarks.processes import relaxation_server
from crystalmesh_client import Failed, Mesh, Relaxation
from crystalmesh_common.crystal.structure import Crystal

HERE = Path(__file__).resolve().parent
RATTLE_ANGSTROM = 0.1
TOLERANCE_EV_PER_ATOM = 0.002


def run(quick: bool) -> dict[str, float]:
    """Speed-ups over the plain and the best loop, and how often the energies agree."""
    crystals = rattled(mp20_test(2 if quick else 100, max_atoms=20, seed=1))
    results, seconds, first = through_the_mesh(crystals)
    plain = loops(crystals, ["struct_optimizer_loop.py"], processes=1, threads=0)
    best = loops(crystals, ["struct_optimizer_loop.py"], processes=2, threads=1)
    peers = {"ase": loops(crystals, ["optimizer_loops.py", "ase"], processes=2, threads=1)}
    if torchsim_is_here():
        peers["torchsim"] = loops(crystals, ["optimizer_loops.py", "torchsim"], processes=2, threads=1)
    else:
        print("torchsim: not installed (pip install -e .[bench])")
    both = [c.id for c in crystals if results[c.id].converged and plain["converged"][c.id]]
    differences = {name: results[name].energy_ev_per_atom - plain["energies"][name] for name in both}
    agree = [name for name, difference in differences.items() if abs(difference) <= TOLERANCE_EV_PER_ATOM]
    for name in sorted(set(both) - set(agree)):
        print(f"{name}: ours minus theirs {1000 * differences[name]:+.2f} meV/atom")
    count = len(crystals)
    sides = {"loop": plain, "best loop": best, **peers}
    for side, taken in {"mesh": seconds, **{name: side["seconds"] for name, side in sides.items()}}.items():
        print(f"{side}: {count / taken:.2f} crystals/s")
    for side, ended in sides.items():
        print(f"{side}: {sum(ended['converged'].values())} of {count} converged")
    return {
        "speedup_vs_structoptimizer": plain["seconds"] / seconds,
        "speedup_vs_best_loop": best["seconds"] / seconds,
        "within_2mev": len(agree) / len(both),
        "converged": sum(result.converged for result in results.values()) / count,
        **{f"speedup_vs_{name}": peer["seconds"] / seconds for name, peer in peers.items()},
        "crystals_per_s": count / seconds,
        "seconds_to_first": first,
    }


def rattled(crystals: Sequence[Crystal]) -> list[Crystal]:
    """Every atom moved by 0.1 Å in a random direction, the same on every run."""
    generator = np.random.default_rng(0)
    moved = []
    for crystal in crystals:
        directions = generator.normal(size=(len(crystal), 3))
        steps = RATTLE_ANGSTROM * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        moved.append(replace(crystal, frac_coords=crystal.frac_coords + steps @ np.linalg.inv(crystal.cell)))
    return moved


def through_the_mesh(crystals: Sequence[Crystal]) -> tuple[dict[str, Relaxation], float, float]:
    """All results, the seconds they took, and the seconds to the first."""
    results: dict[str, Relaxation] = {}
    first = 0.0
    with relaxation_server() as address, Mesh(address) as mesh:
        mesh.relaxation.relax(crystals[0])
        started = time.perf_counter()
        for outcome in mesh.relaxation.relax_many(crystals):
            first = first or time.perf_counter() - started
            if isinstance(outcome, Failed):
                raise outcome.error
            results[outcome.id] = outcome
        seconds = time.perf_counter() - started
    return results, seconds, first


def loops(
    crystals: Sequence[Crystal], program: Sequence[str], *, processes: int, threads: int
) -> dict[str, Any]:
    """A peer over all crystals, dealt out to some processes that run at once; the slowest counts."""
    script, *arguments = program
    with tempfile.TemporaryDirectory() as scratch:
        running = []
        for number in range(processes):
            file = Path(scratch) / f"{number}.json"
            file.write_text(json.dumps([_plain(c) for c in crystals[number::processes]]))
            command = [sys.executable, str(HERE / script), *arguments, str(file), str(threads)]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        answers = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    return {
        "seconds": max(answer["seconds"] for answer in answers),
        "energies": {name: e for answer in answers for name, e in answer["energies"].items()},
        "converged": {name: c for answer in answers for name, c in answer["converged"].items()},
    }


def _plain(crystal: Crystal) -> dict[str, Any]:
    return {
        "id": crystal.id,
        "cell": crystal.cell.tolist(),
        "numbers": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
    }
