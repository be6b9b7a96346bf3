"""Candidates to their energy minima, by the relaxation service of a mesh."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import numpy as np

from crystalmesh_client import Failed, Mesh, Relaxation, RelaxOptions
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.starter.candidates import crystal_of, crystal_record
from crystalmesh_retrieval.starter.ledger import Ledger, Record, read_records

OPTIONS = RelaxOptions(optimizer="lbfgs", max_steps=300)
"""The service's own criteria: 0.05 eV/Å and 0.2 GPa."""

_LANES = 3
"""Calls at a time: while one waits for its last crystals, the others keep the potential busy."""


def relax_candidates(
    mesh: Mesh,
    candidates: Path,
    results: Path,
    on_result: Callable[[int, int], None] = lambda done, all_: None,
) -> None:
    """Relax those that have no result yet, in their order; a line a result, safe as soon as it is written.

    `on_result` is told how many of how many have one. Raises what the client raises when the mesh is lost;
    called again it goes on.
    """
    with Ledger(results) as ledger:
        wanted = {record["id"]: record for record in read_records(candidates)}
        left = [crystal_of(record) for key, record in wanted.items() if key not in ledger.ids]
        done = count(len(wanted) - len(left) + 1)
        version = mesh.relaxation.models()[0].version
        failures: list[BaseException] = []

        def lane(crystals: Sequence[Crystal]) -> None:
            try:
                for outcome in mesh.relaxation.relax_many(crystals, OPTIONS):
                    ledger.add(_record(outcome, version))
                    on_result(next(done), len(wanted))
            except BaseException as error:  # noqa: BLE001 -- raised again below, on the caller's thread
                failures.append(error)

        lanes = [threading.Thread(target=lane, args=(left[n::_LANES],), daemon=True) for n in range(_LANES)]
        for thread in lanes:
            thread.start()
        for thread in lanes:
            thread.join()
        if failures:
            raise failures[0]


def _record(outcome: Relaxation | Failed, version: str) -> Record:
    if isinstance(outcome, Failed):
        return {"id": outcome.id, "stop": "failed", "reason": outcome.error.reason}
    moments = outcome.final.magnetic_moments_mu_b
    return {
        "id": outcome.id,
        "stop": outcome.stop_reason,
        "steps": outcome.steps,
        "energy_ev_per_atom": round(outcome.energy_ev_per_atom, 6),
        "max_force_ev_per_angstrom": round(outcome.max_force_ev_per_angstrom, 4),
        "max_stress_gpa": round(outcome.max_stress_gpa, 4),
        "model": outcome.final.model,
        "model_version": version,
        **crystal_record(outcome.crystal),
        "magnetic_moments_mu_b": None if moments is None else np.round(moments, 4).tolist(),
    }
