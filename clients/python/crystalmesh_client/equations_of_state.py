"""Energy as a function of volume: how to get it, as callers say it, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from crystalmesh.stability.v1 import equation_of_state_pb2
from crystalmesh_client.notebook import html_table
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal, FloatArray

EV_PER_CUBIC_ANGSTROM_IN_GPA = 160.21766208


@dataclass(frozen=True)
class EquationOfStateOptions:
    """How to compress and stretch. What is None is the server's default."""

    relax_first: bool = True
    max_volume_strain: float | None = None  # on either side, a fraction of the volume; 0.1
    points: int | None = None  # 11
    keep_fractional_coordinates: bool = False  # instead of relaxing the atoms at each volume

    def to_proto(self, model: str) -> equation_of_state_pb2.FitEquationOfStateRequest:
        """The request without its crystals."""
        return equation_of_state_pb2.FitEquationOfStateRequest(
            model=model,
            relax_first=self.relax_first,
            max_volume_strain=self.max_volume_strain,
            points=self.points,
            keep_fractional_coordinates=self.keep_fractional_coordinates,
        )


@dataclass(frozen=True, eq=False)
class EquationOfState:
    """A third-order Birch-Murnaghan equation of one cell. Look at `reliable` before anything else."""

    id: str
    crystal: Crystal = field(repr=False)  # that was strained, after the first relaxation where there was one
    equilibrium_volume_cubic_angstrom: float
    equilibrium_energy_ev: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float
    residual_ev_per_atom: float  # root mean square deviation of the energies from the fit
    reliable: bool
    unreliable_reason: str  # in words; empty when reliable
    volumes_cubic_angstrom: FloatArray = field(repr=False)  # (points,), rising
    energies_ev: FloatArray = field(repr=False)  # (points,)
    model: str

    @property
    def formula(self) -> str:
        return reduced_formula(self.crystal)

    def energy_at(self, volumes_cubic_angstrom: FloatArray) -> FloatArray:
        """The fitted energy of the cell in eV at each volume."""
        v0 = self.equilibrium_volume_cubic_angstrom
        compression = (v0 / np.asarray(volumes_cubic_angstrom, dtype=np.float64)) ** (2 / 3)
        strain = compression - 1
        stiffness = 9 / 16 * v0 * self.bulk_modulus_gpa / EV_PER_CUBIC_ANGSTROM_IN_GPA
        bending = strain**3 * self.bulk_modulus_derivative + strain**2 * (6 - 4 * compression)
        return np.asarray(self.equilibrium_energy_ev + stiffness * bending)

    def _repr_html_(self) -> str:
        return html_table(
            ("crystal", self.id),
            ("formula", self.formula),
            ("reliable", "yes" if self.reliable else f"no: {self.unreliable_reason}"),
            ("bulk modulus", f"{self.bulk_modulus_gpa:.1f} GPa"),
            ("its derivative", f"{self.bulk_modulus_derivative:.2f}"),
            ("volume", f"{self.equilibrium_volume_cubic_angstrom / len(self.crystal):.3f} Å³/atom"),
            ("energy", f"{self.equilibrium_energy_ev / len(self.crystal):.4f} eV/atom"),
            ("model", self.model),
        )


def equation_of_state_from(message: equation_of_state_pb2.EquationOfState, given: Crystal) -> EquationOfState:
    """The typed form of a message about the crystal that was given."""
    return EquationOfState(
        id=given.id,
        crystal=replace(crystal_from_proto(message.crystal), id=given.id),
        equilibrium_volume_cubic_angstrom=message.equilibrium_volume_cubic_angstrom,
        equilibrium_energy_ev=message.equilibrium_energy_ev,
        bulk_modulus_gpa=message.bulk_modulus_gpa,
        bulk_modulus_derivative=message.bulk_modulus_derivative,
        residual_ev_per_atom=message.residual_ev_per_atom,
        reliable=message.reliable,
        unreliable_reason=message.unreliable_reason,
        volumes_cubic_angstrom=np.array([point.volume_cubic_angstrom for point in message.points]),
        energies_ev=np.array([point.energy_ev for point in message.points]),
        model=message.model,
    )
