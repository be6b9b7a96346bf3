"""The Python client of CrystalMesh, its CLI and its calculators.

from crystalmesh_client import Mesh

with Mesh() as mesh:
print(mesh.relaxation.evaluate(structure).energy_ev_per_atom)
"""

from crystalmesh_client.connection import Credentials
from crystalmesh_client.mesh import AsyncMesh, Mesh
from crystalmesh_client.models import Model
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import Evaluation, Failed, Relaxation
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError

__all__ = [
    "AsyncMesh",
    "Credentials",
    "Crystal",
    "CrystalMeshError",
    "Evaluation",
    "Failed",
    "Mesh",
    "Model",
    "RelaxOptions",
    "Relaxation",
]
