"""The answer of a crystal to small strains: how to get it, as callers say it, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from crystalmesh.stability.v1 import elasticity_pb2
from crystalmesh_client.notebook import html_table
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal, FloatArray


@dataclass(frozen=True)
class ElasticityOptions:
    """How to strain. What is None is the server's default."""

    relax_first: bool = True
    max_normal_strain: float | None = None  # 0.01
    max_shear_strain: float | None = None  # engineering shear; 0.06
    keep_fractional_coordinates: bool = False  # the clamped-ion tensor

    def to_proto(self, model: str) -> elasticity_pb2.ComputeElasticTensorRequest:
        """The request without its crystals."""
        return elasticity_pb2.ComputeElasticTensorRequest(
            model=model,
            relax_first=self.relax_first,
            max_normal_strain=self.max_normal_strain,
            max_shear_strain=self.max_shear_strain,
            keep_fractional_coordinates=self.keep_fractional_coordinates,
        )


@dataclass(frozen=True)
class Modulus:
    """A modulus of a polycrystal of grains in all directions, in GPa."""

    voigt_gpa: float  # upper bound
    reuss_gpa: float  # lower bound
    hill_gpa: float  # mean of both


@dataclass(frozen=True, eq=False)
class Elasticity:
    """The elastic tensor of a crystal, and what follows from it.

    Where it is not `mechanically_stable`, averages of Reuss and Hill mean nothing.
    """

    id: str
    crystal: Crystal = field(repr=False)  # that was strained, after the first relaxation where there was one
    stiffness_gpa: FloatArray = field(
        repr=False
    )  # (6, 6), Voigt xx yy zz yz xz xy, in the frame of `crystal`
    bulk_modulus: Modulus
    shear_modulus: Modulus
    young_modulus_gpa: float
    poisson_ratio: float
    universal_anisotropy: float  # 0 for an isotropic crystal
    mechanically_stable: bool
    residual_gpa: float  # root mean square deviation of the stresses from the fit
    model: str

    @property
    def formula(self) -> str:
        return reduced_formula(self.crystal)

    def _repr_html_(self) -> str:
        return html_table(
            ("crystal", self.id),
            ("formula", self.formula),
            ("mechanically stable", "yes" if self.mechanically_stable else "no"),
            ("bulk modulus", f"{self.bulk_modulus.hill_gpa:.1f} GPa"),
            ("shear modulus", f"{self.shear_modulus.hill_gpa:.1f} GPa"),
            ("Young's modulus", f"{self.young_modulus_gpa:.1f} GPa"),
            ("Poisson's ratio", f"{self.poisson_ratio:.3f}"),
            ("anisotropy", f"{self.universal_anisotropy:.2f}"),
            ("model", self.model),
        )


def elasticity_from(message: elasticity_pb2.Elasticity, given: Crystal) -> Elasticity:
    """The typed form of a message about the crystal that was given."""
    return Elasticity(
        id=given.id,
        crystal=replace(crystal_from_proto(message.crystal), id=given.id),
        stiffness_gpa=np.array(message.stiffness_gpa, dtype=np.float64).reshape(6, 6),
        bulk_modulus=Modulus(
            message.bulk_modulus_voigt_gpa, message.bulk_modulus_reuss_gpa, message.bulk_modulus_hill_gpa
        ),
        shear_modulus=Modulus(
            message.shear_modulus_voigt_gpa, message.shear_modulus_reuss_gpa, message.shear_modulus_hill_gpa
        ),
        young_modulus_gpa=message.young_modulus_gpa,
        poisson_ratio=message.poisson_ratio,
        universal_anisotropy=message.universal_anisotropy,
        mechanically_stable=message.mechanically_stable,
        residual_gpa=message.residual_gpa,
        model=message.model,
    )
