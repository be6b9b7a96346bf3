"""Molecular dynamics: how to run it, as callers say it, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from crystalmesh.relaxation.v1 import dynamics_pb2
from crystalmesh_client.notebook import html_table
from crystalmesh_client.results import array_or_none
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal, FloatArray

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.structure import Structure

EnsembleName = Literal["nvt", "nve", "npt"]

_ENSEMBLES: Mapping[str, dynamics_pb2.Ensemble.ValueType] = {
    "nvt": dynamics_pb2.ENSEMBLE_NVT_LANGEVIN,
    "nve": dynamics_pb2.ENSEMBLE_NVE,
    "npt": dynamics_pb2.ENSEMBLE_NPT,
}


@dataclass(frozen=True)
class DynamicsOptions:
    """How to follow crystals in time. What is None is the server's default."""

    steps: int
    ensemble: EnsembleName = "nvt"  # Langevin
    time_step_fs: float | None = None  # 1
    temperature_kelvin: float | None = None  # of the starting velocities, and of the thermostat; 300
    friction_per_fs: float | None = None  # of the thermostat; 0.01
    pressure_gpa: float | None = None  # of "npt"; 0
    frame_interval_steps: int | None = None  # 100; 0: no frames
    seed: int = 0

    def to_proto(self, model: str) -> dynamics_pb2.RunMolecularDynamicsRequest:
        """The request without its crystals; ValueError for what no request can hold."""
        if self.ensemble not in _ENSEMBLES:
            raise ValueError(f"{self.ensemble!r} is none of {', '.join(_ENSEMBLES)}")
        return dynamics_pb2.RunMolecularDynamicsRequest(
            model=model,
            ensemble=_ENSEMBLES[self.ensemble],
            steps=self.steps,
            time_step_fs=self.time_step_fs,
            temperature_kelvin=self.temperature_kelvin,
            friction_per_fs=self.friction_per_fs,
            pressure_gpa=self.pressure_gpa,
            frame_interval_steps=self.frame_interval_steps,
            seed=self.seed,
        )


@dataclass(frozen=True, eq=False)
class DynamicsFrame:
    """One moment of a run."""

    id: str
    step: int
    crystal: Crystal = field(repr=False)
    velocities_angstrom_per_fs: FloatArray = field(repr=False)  # (n, 3), Cartesian
    potential_energy_ev: float
    kinetic_energy_ev: float
    temperature_kelvin: float

    def to_ase(self) -> Atoms:
        """ASE Atoms with these velocities, whose calculator holds the potential energy."""
        from ase import units  # noqa: PLC0415 -- heavy
        from ase.calculators.singlepoint import SinglePointCalculator  # noqa: PLC0415 -- heavy

        from crystalmesh_common.crystal.ase_codec import to_atoms  # noqa: PLC0415 -- heavy

        atoms = to_atoms(self.crystal)
        atoms.info["step"] = self.step
        # ASE declares no types here.
        atoms.set_velocities(  # type: ignore[no-untyped-call]
            self.velocities_angstrom_per_fs / units.fs
        )
        atoms.calc = SinglePointCalculator(  # type: ignore[no-untyped-call]
            atoms, energy=self.potential_energy_ev
        )
        return atoms


@dataclass(frozen=True, eq=False)
class DynamicsReport:
    """Whether a run can be believed. Look at `stable` before anything else."""

    id: str
    crystal: Crystal = field(repr=False)  # at the end
    steps: int
    stable: bool
    instability: str  # what broke, in words; empty when stable
    energy_drift_mev_per_atom_per_ps: float  # of the total energy; meaningful for "nve"
    mean_temperature_kelvin: float  # over the second half of the run
    shortest_distance_angstrom: float
    bonds_kept_fraction: float

    @property
    def formula(self) -> str:
        return reduced_formula(self.crystal)

    def to_pymatgen(self) -> Structure:
        """The crystal at the end as a pymatgen Structure."""
        from crystalmesh_common.crystal.pymatgen_codec import to_structure  # noqa: PLC0415 -- heavy

        return to_structure(self.crystal)

    def to_ase(self) -> Atoms:
        """The crystal at the end as ASE Atoms; velocities are in the last frame."""
        from crystalmesh_common.crystal.ase_codec import to_atoms  # noqa: PLC0415 -- heavy

        return to_atoms(self.crystal)

    def _repr_html_(self) -> str:
        return html_table(
            ("crystal", self.id),
            ("formula", self.formula),
            ("stable", "yes" if self.stable else f"no: {self.instability}"),
            ("steps", str(self.steps)),
            ("mean temperature", f"{self.mean_temperature_kelvin:.0f} K"),
            ("energy drift", f"{self.energy_drift_mev_per_atom_per_ps:.3g} meV/atom/ps"),
            ("shortest distance", f"{self.shortest_distance_angstrom:.2f} Å"),
            ("bonds kept", f"{100 * self.bonds_kept_fraction:.0f} %"),
        )


def dynamics_frame_from(message: dynamics_pb2.DynamicsFrame, given: Crystal) -> DynamicsFrame:
    """The typed form of a frame of the run of `given`."""
    crystal = replace(crystal_from_proto(message.crystal), id=given.id)
    velocities = array_or_none(message.velocities_angstrom_per_fs, (-1, 3))
    return DynamicsFrame(
        id=given.id,
        step=message.step,
        crystal=crystal,
        velocities_angstrom_per_fs=np.zeros((len(crystal), 3)) if velocities is None else velocities,
        potential_energy_ev=message.potential_energy_ev,
        kinetic_energy_ev=message.kinetic_energy_ev,
        temperature_kelvin=message.temperature_kelvin,
    )


def dynamics_report_from(message: dynamics_pb2.DynamicsReport, given: Crystal) -> DynamicsReport:
    """The typed form of the report on the run of `given`."""
    return DynamicsReport(
        id=given.id,
        crystal=replace(crystal_from_proto(message.final), id=given.id),
        steps=message.steps,
        stable=message.stable,
        instability=message.instability,
        energy_drift_mev_per_atom_per_ps=message.energy_drift_mev_per_atom_per_ps,
        mean_temperature_kelvin=message.mean_temperature_kelvin,
        shortest_distance_angstrom=message.shortest_distance_angstrom,
        bonds_kept_fraction=message.bonds_kept_fraction,
    )
