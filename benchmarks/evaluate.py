"""Crystals per second through RelaxationService.Evaluate, against a loop over CHGNet in the same run.

The loop is what a user writes: `CHGNet.predict_structure` on one structure after another, with torch's
default threads. Both sides evaluate the same MP-20 test crystals, in alternating rounds. One side is idle
while the other works.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from benchmarks.crystals import mp20_test
from benchmarks.processes import relaxation_server
from crystalmesh_client import Evaluation, Mesh
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal


def run(quick: bool) -> dict[str, float]:
    """Rate of the service and of the loop, their ratio, and how far their numbers differ."""
    crystals = mp20_test(40 if quick else 200, max_atoms=20)
    rounds = 3 if quick else 7
    loop = chgnet_loop()
    loop(crystals[:2])
    with relaxation_server() as address, Mesh(address) as mesh:
        served = evaluate_all(mesh, crystals[:2])
        ratios, rates = [], []
        for number in range(rounds):
            started = time.perf_counter()
            energies = loop(crystals)
            direct_seconds = time.perf_counter() - started
            started = time.perf_counter()
            served = evaluate_all(mesh, crystals)
            mesh_seconds = time.perf_counter() - started
            ratios.append(direct_seconds / mesh_seconds)
            rates.append(len(crystals) / mesh_seconds)
            print(
                f"round {number + 1}/{rounds}: loop {len(crystals) / direct_seconds:.1f} crystals/s, "
                f"mesh {rates[-1]:.1f} crystals/s"
            )
    differences = [abs(served[c.id].energy_ev_per_atom - e) for c, e in zip(crystals, energies, strict=True)]
    return {
        "ratio_to_loop": statistics.median(ratios),
        "crystals_per_s": statistics.median(rates),
        "max_energy_difference_ev_per_atom": max(differences),
    }


def evaluate_all(mesh: Mesh, crystals: Sequence[Crystal]) -> dict[str, Evaluation]:
    outcomes = mesh.relaxation.evaluate_many(crystals)
    results = {outcome.id: outcome for outcome in outcomes if isinstance(outcome, Evaluation)}
    if len(results) != len(crystals):
        raise RuntimeError(f"{len(crystals) - len(results)} crystals have no result")
    return results


def chgnet_loop() -> Callable[[Sequence[Crystal]], list[float]]:
    """Energies per atom, the way CHGNet's documentation shows it."""
    from chgnet.model.model import CHGNet  # noqa: PLC0415 -- seconds

    warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
    model = CHGNet.load(use_device="cpu", verbose=False)

    def loop(crystals: Sequence[Crystal]) -> list[float]:
        predictions = (model.predict_structure(to_structure(crystal)) for crystal in crystals)
        return [float(np.asarray(cast("dict[str, Any]", prediction)["e"])) for prediction in predictions]

    return loop
