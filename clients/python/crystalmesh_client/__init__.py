"""The Python client of CrystalMesh and its CLI.

    from crystalmesh_client import Mesh

    with Mesh() as mesh:
        print(mesh.relaxation.evaluate(structure).energy_ev_per_atom)

What needs a library of the field is in modules of its own: `calculator` (ASE), `structures` (pymatgen) and
`plots` (matplotlib).
"""

from crystalmesh_client.connection import Credentials
from crystalmesh_client.dynamics import DynamicsFrame, DynamicsOptions, DynamicsReport
from crystalmesh_client.elasticity import Elasticity, ElasticityOptions
from crystalmesh_client.equations_of_state import EquationOfState, EquationOfStateOptions
from crystalmesh_client.hulls import HullDistance, PhaseDiagram
from crystalmesh_client.mesh import AsyncMesh, Mesh
from crystalmesh_client.models import Model
from crystalmesh_client.phases import Phase
from crystalmesh_client.phonons import PhononOptions, Phonons
from crystalmesh_client.references import Reference
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import Evaluation, Failed, Relaxation
from crystalmesh_client.scorecards import LabelledFrame, Scorecard, ScoreMetric
from crystalmesh_client.trajectories import RelaxationFrame, Trajectory
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError

__all__ = [
    "AsyncMesh",
    "Credentials",
    "Crystal",
    "CrystalMeshError",
    "DynamicsFrame",
    "DynamicsOptions",
    "DynamicsReport",
    "Elasticity",
    "ElasticityOptions",
    "EquationOfState",
    "EquationOfStateOptions",
    "Evaluation",
    "Failed",
    "HullDistance",
    "LabelledFrame",
    "Mesh",
    "Model",
    "Phase",
    "PhaseDiagram",
    "PhononOptions",
    "Phonons",
    "Reference",
    "RelaxOptions",
    "Relaxation",
    "RelaxationFrame",
    "ScoreMetric",
    "Scorecard",
    "Trajectory",
]
