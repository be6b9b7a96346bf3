"""What calls answer, as typed values that convert to pymatgen and ASE and show well in a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from crystalmesh.relaxation.v1 import evaluation_pb2, relaxation_pb2
from crystalmesh_client.notebook import html_table
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import CrystalMeshError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.structure import Structure

EV_PER_CUBIC_ANGSTROM_IN_GPA = 160.21766208


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Energy and its derivatives for one crystal. What was not asked for is None."""

    id: str
    crystal: Crystal = field(repr=False)
    energy_ev: float
    energy_ev_per_atom: float
    forces_ev_per_angstrom: FloatArray | None = field(repr=False)  # (n, 3)
    stress_gpa: FloatArray | None = field(repr=False)  # (3, 3), positive: stretched, wants to shrink
    magnetic_moments_mu_b: FloatArray | None = field(repr=False)  # (n,)
    model: str

    @property
    def formula(self) -> str:
        return reduced_formula(self.crystal)

    @property
    def max_force_ev_per_angstrom(self) -> float | None:
        """The largest force on an atom; None when forces were not asked for."""
        if self.forces_ev_per_angstrom is None:
            return None
        return float(np.linalg.norm(self.forces_ev_per_angstrom, axis=1).max())

    def to_pymatgen(self) -> Structure:
        """The crystal as a pymatgen Structure, with forces and moments as site properties."""
        from crystalmesh_common.crystal.pymatgen_codec import to_structure  # noqa: PLC0415 -- heavy

        structure = to_structure(self.crystal)
        if self.forces_ev_per_angstrom is not None:
            structure.add_site_property("forces", self.forces_ev_per_angstrom.tolist())
        if self.magnetic_moments_mu_b is not None:
            structure.add_site_property("magmom", self.magnetic_moments_mu_b.tolist())
        return structure

    def to_ase(self) -> Atoms:
        """The crystal as ASE Atoms whose calculator holds these results."""
        from ase.calculators.singlepoint import SinglePointCalculator  # noqa: PLC0415 -- heavy

        from crystalmesh_common.crystal.ase_codec import to_atoms  # noqa: PLC0415 -- heavy

        atoms = to_atoms(self.crystal)
        stress = self.stress_gpa
        # ASE declares no types here.
        atoms.calc = SinglePointCalculator(  # type: ignore[no-untyped-call]
            atoms,
            energy=self.energy_ev,
            forces=self.forces_ev_per_angstrom,
            stress=None if stress is None else stress / EV_PER_CUBIC_ANGSTROM_IN_GPA,
            magmoms=self.magnetic_moments_mu_b,
        )
        return atoms

    def _repr_html_(self) -> str:
        force = self.max_force_ev_per_angstrom
        return html_table(
            ("crystal", self.id),
            ("formula", self.formula),
            ("atoms", str(len(self.crystal))),
            ("energy", f"{self.energy_ev_per_atom:.4f} eV/atom"),
            ("largest force", "" if force is None else f"{force:.4f} eV/Å"),
            ("model", self.model),
        )


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Where a crystal ended when it was relaxed. Look at `converged` before anything else."""

    id: str
    crystal: Crystal = field(repr=False)
    converged: bool
    stop_reason: str  # "converged", "step limit", "time limit", "unphysical", "energy limit"
    steps: int
    initial: Evaluation = field(repr=False)
    final: Evaluation = field(repr=False)
    max_force_ev_per_angstrom: float
    max_stress_gpa: float  # 0 where the cell was fixed
    seconds: float

    @property
    def energy_ev_per_atom(self) -> float:
        return self.final.energy_ev_per_atom

    @property
    def formula(self) -> str:
        return reduced_formula(self.crystal)

    def to_pymatgen(self) -> Structure:
        """The relaxed crystal as a pymatgen Structure, with forces and moments as site properties."""
        return self.final.to_pymatgen()

    def to_ase(self) -> Atoms:
        """The relaxed crystal as ASE Atoms whose calculator holds its energy, forces and stress."""
        return self.final.to_ase()

    def _repr_html_(self) -> str:
        return html_table(
            ("crystal", self.id),
            ("formula", self.formula),
            ("converged", "yes" if self.converged else f"no: {self.stop_reason}"),
            ("steps", str(self.steps)),
            ("energy", f"{self.initial.energy_ev_per_atom:.4f} → {self.energy_ev_per_atom:.4f} eV/atom"),
            ("largest force", f"{self.max_force_ev_per_angstrom:.4f} eV/Å"),
            ("model", self.final.model),
        )


@dataclass(frozen=True)
class Failed:
    """A crystal of a batch for which there is no result, with the reason."""

    id: str
    error: CrystalMeshError
    index: int | None = None  # in a stream: its place among all that were given, from 0

    def _repr_html_(self) -> str:
        return (
            f"<b>{html.escape(self.id)}</b>: {html.escape(self.error.reason)}: {html.escape(str(self.error))}"
        )


Result = TypeVar("Result")


def result_of(outcome: Result | Failed) -> Result:
    """The result; raises the error of one that failed."""
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome


_STOP_REASONS = {
    relaxation_pb2.STOP_REASON_CONVERGED: "converged",
    relaxation_pb2.STOP_REASON_STEP_LIMIT: "step limit",
    relaxation_pb2.STOP_REASON_TIME_LIMIT: "time limit",
    relaxation_pb2.STOP_REASON_UNPHYSICAL: "unphysical",
    relaxation_pb2.STOP_REASON_ENERGY_LIMIT: "energy limit",
}


def relaxation_from(message: relaxation_pb2.Relaxation, given: Crystal) -> Relaxation:
    """The typed form of a message about the crystal that was given to be relaxed."""
    relaxed = replace(crystal_from_proto(message.crystal), id=given.id)
    return Relaxation(
        id=given.id,
        crystal=relaxed,
        converged=message.converged,
        stop_reason=_STOP_REASONS.get(message.stop_reason, "not stated"),
        steps=message.steps,
        initial=evaluation_from(message.initial, given),
        final=evaluation_from(message.final, relaxed),
        max_force_ev_per_angstrom=message.max_force_ev_per_angstrom,
        max_stress_gpa=message.max_stress_gpa,
        seconds=message.wall_time.ToNanoseconds() / 1e9,
    )


def evaluation_from(message: evaluation_pb2.Evaluation, crystal: Crystal) -> Evaluation:
    """The typed form of a message about `crystal`."""
    return Evaluation(
        id=crystal.id,
        crystal=crystal,
        energy_ev=message.energy_ev,
        energy_ev_per_atom=message.energy_ev_per_atom,
        forces_ev_per_angstrom=array_or_none(message.forces_ev_per_angstrom, (-1, 3)),
        stress_gpa=array_or_none(message.stress_gpa, (3, 3)),
        magnetic_moments_mu_b=array_or_none(message.magnetic_moments_mu_b, (-1,)),
        model=message.model,
    )


def array_or_none(values: object, shape: tuple[int, ...]) -> FloatArray | None:
    """The values of a repeated field in this shape; None when there are none."""
    array = np.array(values, dtype=np.float64)
    return array.reshape(shape) if array.size else None
