"""Bringing a crystal to rest: the relaxations that come before a measurement, and within it."""

from __future__ import annotations

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.procedure import Procedure, relaxing
from crystalmesh_relaxation.relaxing.motion import CellMode
from crystalmesh_relaxation.relaxing.task import OptimizerKind, Relaxation, RelaxationTask, RelaxOptions

_MAX_STRESS_GPA = 0.02
"""Tighter than for a relaxation's own sake: a bulk modulus of 20 GPa then leaves a volume 0.1 % off."""
_MAX_STEPS = 500
_MAX_STEPS_IN_CELL = 200


def relaxing_all(crystal: Crystal, max_force_ev_per_angstrom: float) -> Procedure[Relaxation]:
    """Let atoms and cell come to rest."""
    options = RelaxOptions(
        cell_mode=CellMode.FULL,
        optimizer=OptimizerKind.LBFGS,
        max_force_ev_per_angstrom=max_force_ev_per_angstrom,
        max_stress_gpa=_MAX_STRESS_GPA,
        max_steps=_MAX_STEPS,
    )
    return relaxing(RelaxationTask(crystal, options))


def relaxing_atoms(crystal: Crystal, max_force_ev_per_angstrom: float) -> Procedure[Relaxation]:
    """Let the atoms come to rest in the cell as it is."""
    options = RelaxOptions(
        cell_mode=CellMode.FIXED,
        optimizer=OptimizerKind.LBFGS,
        max_force_ev_per_angstrom=max_force_ev_per_angstrom,
        max_steps=_MAX_STEPS_IN_CELL,
    )
    return relaxing(RelaxationTask(crystal, options))
