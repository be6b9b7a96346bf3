"""How every entry of the shipped reference is relaxed."""

from __future__ import annotations

from crystalmesh_relaxation.relaxing.task import OptimizerKind, RelaxOptions

OPTIONS = RelaxOptions(optimizer=OptimizerKind.LBFGS, max_force_ev_per_angstrom=0.05, max_steps=300)
