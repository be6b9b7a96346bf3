"""The vibrations of a crystal at Gamma: how to get them, as callers say it, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from crystalmesh.stability.v1 import phonons_pb2
from crystalmesh_client.notebook import html_table
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal, FloatArray


@dataclass(frozen=True)
class PhononOptions:
    """How to shake. What is None is the server's default."""

    relax_first: bool = True
    displacement_angstrom: float | None = None  # 0.01
    supercell: tuple[int, int, int] | None = None  # a larger one finds more instabilities; 1 1 1
    instability_tolerance_thz: float | None = None  # 0.3

    def to_proto(self, model: str) -> phonons_pb2.ComputePhononsRequest:
        """The request without its crystals."""
        return phonons_pb2.ComputePhononsRequest(
            model=model,
            relax_first=self.relax_first,
            displacement_angstrom=self.displacement_angstrom,
            supercell=self.supercell,
            instability_tolerance_thz=self.instability_tolerance_thz,
        )


@dataclass(frozen=True, eq=False)
class PhononMode:
    """One pattern of vibration."""

    frequency_thz: float  # negative when imaginary
    displacements: FloatArray = field(repr=False)  # (n, 3), Cartesian, of length 1 over all atoms


@dataclass(frozen=True, eq=False)
class Phonons:
    """The vibrations of a crystal at Gamma. Look at `relaxation_converged` before anything else."""

    id: str
    crystal: Crystal = field(repr=False)  # that was shaken, supercell and first relaxation included
    dynamically_stable: bool
    frequencies_thz: FloatArray = field(repr=False)  # (3n,), ascending; an imaginary one is negative
    unstable_modes: tuple[PhononMode, ...] = field(repr=False)  # the worst first
    relaxation_converged: bool  # far from a minimum, frequencies mean nothing; True when none was asked for
    model: str

    @property
    def formula(self) -> str:
        return reduced_formula(self.crystal)

    def _repr_html_(self) -> str:
        return html_table(
            ("crystal", self.id),
            ("formula", self.formula),
            ("atoms", str(len(self.crystal))),
            ("dynamically stable", "yes" if self.dynamically_stable else "no"),
            ("unstable modes", str(len(self.unstable_modes))),
            ("frequencies", f"{self.frequencies_thz[0]:.2f} to {self.frequencies_thz[-1]:.2f} THz"),
            ("relaxation", "converged" if self.relaxation_converged else "did not converge"),
            ("model", self.model),
        )


def phonons_from(message: phonons_pb2.Phonons, given: Crystal) -> Phonons:
    """The typed form of a message about the crystal that was given."""
    return Phonons(
        id=given.id,
        crystal=replace(crystal_from_proto(message.crystal), id=given.id),
        dynamically_stable=message.dynamically_stable,
        frequencies_thz=np.array(message.frequencies_thz, dtype=np.float64),
        unstable_modes=tuple(
            PhononMode(mode.frequency_thz, np.array(mode.displacements, dtype=np.float64).reshape(-1, 3))
            for mode in message.unstable_modes
        ),
        relaxation_converged=message.relaxation_converged,
        model=message.model,
    )
