"""The mesh as an ASE calculator.

atoms.calc = MeshCalculator()
FIRE(FrechetCellFilter(atoms)).run(fmax=0.05)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self, cast

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from crystalmesh_client.mesh import Mesh
from crystalmesh_client.results import EV_PER_CUBIC_ANGSTROM_IN_GPA, Evaluation
from crystalmesh_common.crystal.ase_codec import from_atoms


class MeshCalculator(Calculator):
    """Energy, forces, stress and magnetic moments of atoms that are periodic in all directions.

    Works wherever ASE takes a calculator: optimizers, filters, dynamics, NEB; and as the calculator of
    pymatgen's `Structure.relax`. Every new arrangement of atoms is one call to the mesh, which answers all
    of it at once. Many calculators, also in threads, can share one mesh; without one it is the mesh that
    `Mesh()` finds. Errors are those of `crystalmesh_common.runtime.errors`.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "magmoms"]  # noqa: RUF012 -- as ASE has it

    def __init__(self, mesh: Mesh | None = None, *, model: str = "", timeout: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._mesh = mesh or Mesh()
        self._model = model
        self._timeout = timeout  # of each call, in seconds

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        """A calculator of its own on the same mesh, so that atoms can be copied with theirs."""
        return type(self)(self._mesh, model=self._model, timeout=self._timeout)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Ask for everything, whatever of it is wanted now: energy and forces are of one pass."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        # Neither starting moments nor `info` are of concern to a potential.
        crystal = replace(from_atoms(cast("Atoms", self.atoms)), magnetic_moments=None, scalars={})
        evaluation = self._mesh.relaxation.evaluate(
            crystal, quantities=(), model=self._model, timeout=self._timeout
        )
        self.results = _results(evaluation)


def _results(evaluation: Evaluation) -> dict[str, Any]:
    """What ASE calls these things, in its units; without what the model cannot give."""
    results: dict[str, Any] = {
        "energy": evaluation.energy_ev,
        "free_energy": evaluation.energy_ev,  # there are no electrons to smear
        "forces": evaluation.forces_ev_per_angstrom,
        "magmoms": evaluation.magnetic_moments_mu_b,
    }
    if evaluation.stress_gpa is not None:
        stress = evaluation.stress_gpa / EV_PER_CUBIC_ANGSTROM_IN_GPA
        results["stress"] = full_3x3_to_voigt_6_stress(stress)  # type: ignore[no-untyped-call]
    return {name: value for name, value in results.items() if value is not None}
