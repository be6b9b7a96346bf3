"""Peers of the `relaxation` benchmark: other optimizers over the network that the mesh itself runs.

`optimizer_loops.py ase|torchsim CRYSTALS.json THREADS` relaxes the crystals of a file with ASE's FIRE, one
after the other, or with TorchSim's, in flight, both with a Frechet cell filter, and prints a line of JSON
with the seconds (without loading) and the final energies. What differs from the mesh is everything but the
network. TorchSim is an extra: `pip install -e .[bench]`.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from ase.stress import full_3x3_to_voigt_6_stress

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.engine import Evaluation, Quantity
from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential

FMAX = 0.05
STEPS = 500
_EV_PER_CUBIC_ANGSTROM = 1 / 160.21766208
_BATCH_ATOMS_X_DENSITY = 5500.0  # atoms times atoms/nm³: about as much as the mesh has in flight
_WANTED = frozenset({Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS})


@dataclass(frozen=True)
class Ended:
    """Where a crystal ended."""

    energy_ev_per_atom: float
    converged: bool


def main(peer: str, file: Path, threads: int) -> dict[str, Any]:
    if threads:
        torch.set_num_threads(threads)
    crystals = [
        Crystal(np.array(c["cell"]), np.array(c["numbers"]), np.array(c["frac_coords"]), c["id"])
        for c in json.loads(file.read_text())
    ]
    relax = {"ase": relax_with_ase, "torchsim": relax_with_torchsim}[peer]
    potential = FastCHGNetPotential()
    relax(crystals[:1], potential, 1)  # warm
    started = time.perf_counter()
    ended = relax(crystals, potential, STEPS)
    return {
        "seconds": time.perf_counter() - started,
        "energies": {
            crystal.id: end.energy_ev_per_atom for crystal, end in zip(crystals, ended, strict=True)
        },
        "converged": {crystal.id: end.converged for crystal, end in zip(crystals, ended, strict=True)},
    }


def torchsim_is_here() -> bool:
    return importlib.util.find_spec("torch_sim") is not None


def relax_with_ase(crystals: Sequence[Crystal], potential: FastCHGNetPotential, steps: int) -> list[Ended]:
    """One after the other."""
    ended = []
    for crystal in crystals:
        atoms = Atoms(crystal.numbers, cell=crystal.cell, scaled_positions=crystal.frac_coords, pbc=True)
        atoms.calc = NetworkCalculator(potential)
        converged = FIRE(FrechetCellFilter(atoms), logfile=None).run(fmax=FMAX, steps=steps)
        ended.append(Ended(atoms.get_potential_energy() / len(atoms), bool(converged)))
    return ended


class NetworkCalculator(Calculator):
    """The potential for ASE."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012 -- as ASE has it

    def __init__(self, potential: FastCHGNetPotential) -> None:
        super().__init__()
        self._potential = potential

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        crystal = Crystal(np.array(atoms.cell), atoms.numbers.astype(np.int64), atoms.get_scaled_positions())
        (outcome,) = _evaluated(self._potential, [crystal])
        self.results = {
            "energy": outcome.energy_ev,
            "forces": outcome.forces_ev_per_angstrom,
            "stress": full_3x3_to_voigt_6_stress(_stress(outcome)),
        }


def relax_with_torchsim(
    crystals: Sequence[Crystal], potential: FastCHGNetPotential, steps: int
) -> list[Ended]:
    """In flight, with its autobatcher."""
    import torch_sim as ts  # noqa: PLC0415 -- an extra

    model = _torchsim_model(potential)
    atoms = [Atoms(c.numbers, cell=c.cell, scaled_positions=c.frac_coords, pbc=True) for c in crystals]
    converged: Callable[..., Any] = ts.generate_force_convergence_fn(FMAX, include_cell_forces=True)
    state = ts.optimize(
        atoms,
        model,
        optimizer=ts.frechet_cell_fire,
        convergence_fn=converged,
        autobatcher=ts.InFlightAutoBatcher(model, max_memory_scaler=_BATCH_ATOMS_X_DENSITY),
        max_steps=steps * len(crystals),  # it counts the steps of all together
        steps_between_swaps=1 if steps == 1 else 5,
    )
    energies = state.energy.tolist()
    return [
        Ended(energy / len(crystal), bool(done))
        for energy, crystal, done in zip(energies, crystals, converged(state).tolist(), strict=True)
    ]


def _torchsim_model(potential: FastCHGNetPotential) -> Any:
    from torch_sim.models.interface import ModelInterface  # noqa: PLC0415 -- an extra

    class Model(ModelInterface):
        _device, _dtype = torch.device("cpu"), torch.float64
        _compute_stress = _compute_forces = True

        def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
            counts = torch.bincount(state.system_idx).tolist()
            cells = state.row_vector_cell.numpy()
            numbers = np.split(state.atomic_numbers.numpy(), np.cumsum(counts)[:-1])
            positions = np.split(state.positions.numpy(), np.cumsum(counts)[:-1])
            crystals = [
                Crystal(cell, z.astype(np.int64), r @ np.linalg.inv(cell))
                for cell, z, r in zip(cells, numbers, positions, strict=True)
            ]
            outcomes = _evaluated(potential, crystals)
            return {
                "energy": torch.tensor([outcome.energy_ev for outcome in outcomes], dtype=torch.float64),
                "forces": torch.from_numpy(np.concatenate([o.forces_ev_per_angstrom for o in outcomes])),
                "stress": torch.from_numpy(np.stack([_stress(outcome) for outcome in outcomes])),
            }

    return Model()


def _evaluated(potential: FastCHGNetPotential, crystals: Sequence[Crystal]) -> list[Evaluation]:
    outcomes = potential.evaluate(crystals, _WANTED)
    for outcome in outcomes:
        if not isinstance(outcome, Evaluation):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]


def _stress(outcome: Evaluation) -> np.ndarray:
    if outcome.stress_gpa is None:
        raise TypeError("no stress came")
    stress: np.ndarray = outcome.stress_gpa * _EV_PER_CUBIC_ANGSTROM
    return stress


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
