"""Samples relaxed with the mesh's own physics: CHGNet, atoms and cell, as the service does it.

Each result is kept on disk by what was relaxed and how, so that a run goes on where it stopped and energies
can be placed against another hull later without relaxing again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.quality.fingerprints import Progress
from benchmarks.quality.ledger import Ledger
from benchmarks.quality.samples import content_hash
from crystalmesh_common.crystal.generative_validity import is_structurally_valid
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Potential
from crystalmesh_relaxation.relaxing.in_flight import relax_in_flight
from crystalmesh_relaxation.relaxing.task import (
    OptimizerKind,
    Relaxation,
    RelaxationTask,
    RelaxOptions,
    StopReason,
)

OPTIONS = RelaxOptions(optimizer=OptimizerKind.LBFGS, max_force_ev_per_angstrom=0.1, max_steps=500)
MAX_ATOMS = 100
MIN_VOLUME_PER_ATOM = 2.0  # Å³; MP-20's least is 6, and cost grows with the neighbours
_BATCH_EDGES = 5000.0


@dataclass(frozen=True, eq=False)
class Relaxed:
    """What came of a crystal."""

    crystal: Crystal | None  # where it ended; None: it could not be relaxed
    energy_ev_per_atom: float | None
    converged: bool
    steps: int
    problem: str  # why there is no energy

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Relaxed:
        """What a ledger has kept."""
        if "cell" not in kept:
            return cls(None, None, converged=False, steps=0, problem=str(kept["problem"]))
        crystal = Crystal(
            np.array(kept["cell"], dtype=np.float64),
            np.array(kept["numbers"], dtype=np.int64),
            np.array(kept["frac_coords"], dtype=np.float64).reshape(-1, 3),
        )
        return cls(crystal, kept["energy_ev_per_atom"], kept["converged"], kept["steps"], kept["problem"])


def relaxed_of(
    crystals: Sequence[Crystal],
    ledger: Ledger,
    *,
    threads: int = 1,
    options: RelaxOptions = OPTIONS,
    progress: Progress | None = None,
) -> tuple[list[Relaxed], float]:
    """Each crystal relaxed, in order, and the CPU seconds that this took, now or when it was done."""
    keys = [f"{content_hash(crystal)}-{_digest(options)}" for crystal in crystals]
    missing = {key: c for key, c in zip(keys, crystals, strict=True) if key not in ledger}
    work = _Work(ledger, options, progress, len(crystals) - len(missing), len(crystals))
    waiting: dict[str, Crystal] = {}
    for key, crystal in missing.items():
        problem = _problem(crystal)
        if problem:
            work.keep(key, {"problem": problem, "cpu_s": 0.0})
        else:
            waiting[key] = crystal
    if waiting:
        _relax(waiting, work, threads)
    seconds = sum(float(ledger[key]["cpu_s"]) for key in set(keys))
    return [Relaxed.of(ledger[key]) for key in keys], seconds


def _problem(crystal: Crystal) -> str:
    try:
        check_crystal(crystal, max_atoms=MAX_ATOMS)
    except CrystalMeshError as error:
        return error.message
    if not is_structurally_valid(crystal):
        return "atoms are too close"
    volume = crystal.volume / len(crystal)
    return "" if volume >= MIN_VOLUME_PER_ATOM else f"{volume:.2f} Å³ per atom is denser than any solid"


def _digest(options: RelaxOptions) -> str:
    """Of all that decides where a crystal ends."""
    return hashlib.sha256(f"chgnet-0.3.0 {options}".encode()).hexdigest()[:8]


class _Work:
    """What all threads share."""

    def __init__(
        self, ledger: Ledger, options: RelaxOptions, progress: Progress | None, done: int, total: int
    ) -> None:
        self.options = options
        self._ledger, self._progress = ledger, progress
        self._done, self._total = done, total
        self._lock = threading.Lock()

    def keep(self, key: str, result: Mapping[str, Any]) -> None:
        self._ledger.write(key, result)
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)


def _relax(waiting: Mapping[str, Crystal], work: _Work, threads: int) -> None:
    """Deal the crystals out to threads, the large ones first, so that none is left to the end."""
    keys = sorted(waiting, key=lambda key: -len(waiting[key]))
    shares = [{key: waiting[key] for key in keys[n::threads]} for n in range(threads)]
    failures: list[BaseException] = []

    def run(share: Mapping[str, Crystal]) -> None:
        try:
            _relax_share(share, work)
        except BaseException as error:  # noqa: BLE001 -- raised again in the caller's thread
            failures.append(error)

    workers = [threading.Thread(target=run, args=(share,), daemon=True) for share in shares if share]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


def _relax_share(share: Mapping[str, Crystal], work: _Work) -> None:
    import torch  # noqa: PLC0415 -- seconds, and not needed where all is kept

    from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential  # noqa: PLC0415

    torch.set_num_threads(1)  # of this thread, so that its CPU time is what the relaxations took
    potential: Potential = FastCHGNetPotential()
    tasks = {key: RelaxationTask(crystal, work.options) for key, crystal in share.items()}
    keys = {id(task): key for key, task in tasks.items()}
    began = time.thread_time()
    for task, result in relax_in_flight(potential, tasks.values(), max_edges=_BATCH_EDGES):
        now = time.thread_time()
        # Of all in flight since the last one ended: only the sum over crystals means something.
        work.keep(keys[id(task)], {**_kept(result), "cpu_s": round(now - began, 4)})
        began = now


def _kept(result: Relaxation | CrystalMeshError) -> dict[str, Any]:
    if isinstance(result, CrystalMeshError):
        return {"problem": result.message}
    if result.stop_reason is StopReason.UNPHYSICAL:
        return {"problem": "it went where no potential follows"}
    return {
        "problem": "",
        "converged": result.converged,
        "steps": result.steps,
        "energy_ev_per_atom": round(result.final.energy_ev_per_atom, 6),
        "cell": result.crystal.cell.tolist(),
        "numbers": result.crystal.numbers.tolist(),
        "frac_coords": result.crystal.frac_coords.tolist(),
    }
