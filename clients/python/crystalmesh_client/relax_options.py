"""How to relax, as callers say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from crystalmesh.relaxation.v1 import relaxation_pb2

CellModeName = Literal["full", "fixed", "volume"]
OptimizerName = Literal["fire", "lbfgs", "bfgs"]

_CELL_MODES: Mapping[str, relaxation_pb2.CellMode.ValueType] = {
    "full": relaxation_pb2.CELL_MODE_FULL,
    "fixed": relaxation_pb2.CELL_MODE_FIXED,
    "volume": relaxation_pb2.CELL_MODE_VOLUME,
}
_OPTIMIZERS: Mapping[str, relaxation_pb2.Optimizer.ValueType] = {
    "fire": relaxation_pb2.OPTIMIZER_FIRE,
    "lbfgs": relaxation_pb2.OPTIMIZER_LBFGS,
    "bfgs": relaxation_pb2.OPTIMIZER_BFGS,
}


@dataclass(frozen=True)
class RelaxOptions:
    """How to relax. What is None is the server's default."""

    cell: CellModeName = "full"
    optimizer: OptimizerName = "fire"
    max_force_ev_per_angstrom: float | None = None  # 0.05
    max_stress_gpa: float | None = None  # 0.2
    max_steps: int | None = None  # 500
    max_seconds: float | None = None  # for each crystal; none
    pressure_gpa: float = 0.0
    preserve_symmetry: bool = False
    energy_limit_ev_per_atom: float | None = None  # who is above it after a few steps is given up; none
    energy_limit_after_steps: int | None = None  # 5

    def to_proto(self) -> relaxation_pb2.RelaxOptions:
        """The message; ValueError for a name that there is not."""
        for value, known in ((self.cell, _CELL_MODES), (self.optimizer, _OPTIMIZERS)):
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(known)}")
        message = relaxation_pb2.RelaxOptions(
            cell_mode=_CELL_MODES[self.cell],
            optimizer=_OPTIMIZERS[self.optimizer],
            max_force_ev_per_angstrom=self.max_force_ev_per_angstrom,
            max_stress_gpa=self.max_stress_gpa,
            max_steps=self.max_steps,
            pressure_gpa=self.pressure_gpa,
            preserve_symmetry=self.preserve_symmetry,
        )
        if self.max_seconds is not None:
            message.max_duration.FromNanoseconds(int(self.max_seconds * 1e9))
        if self.energy_limit_ev_per_atom is not None:
            limit = relaxation_pb2.EnergyLimit(
                energy_ev_per_atom=self.energy_limit_ev_per_atom, after_steps=self.energy_limit_after_steps
            )
            message.energy_limit.CopyFrom(limit)
        return message
