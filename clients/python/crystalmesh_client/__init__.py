"""The Python client of CrystalMesh and its CLI.

    from crystalmesh_client import Mesh

    with Mesh() as mesh:
        print(mesh.relaxation.evaluate(structure).energy_ev_per_atom)

What needs a library of the field is in modules of its own: `calculator` (ASE), `structures` (pymatgen) and
`plots` (matplotlib).
"""

from crystalmesh_client.campaign_candidates import CampaignCandidate
from crystalmesh_client.campaign_specs import CampaignSpec
from crystalmesh_client.campaigns import Campaign, CampaignProgress, CampaignResults
from crystalmesh_client.candidates import Candidate, Candidates, FailedSample, ParseFailure, SampleOrigin
from crystalmesh_client.catalogs import Catalog, CatalogIndex
from crystalmesh_client.conditions import MaterialFilter, Target
from crystalmesh_client.connection import Credentials
from crystalmesh_client.dynamics import DynamicsFrame, DynamicsOptions, DynamicsReport
from crystalmesh_client.elasticity import Elasticity, ElasticityOptions
from crystalmesh_client.embeddings import Embedding
from crystalmesh_client.equations_of_state import EquationOfState, EquationOfStateOptions
from crystalmesh_client.generation_questions import GenerationModel
from crystalmesh_client.hulls import HullDistance, PhaseDiagram
from crystalmesh_client.ingestion import AddedMaterials, Rejection
from crystalmesh_client.matches import Match, Matches, MatchTolerance
from crystalmesh_client.materials import Material, MaterialInput, MaterialSource
from crystalmesh_client.mesh import AsyncMesh, Mesh
from crystalmesh_client.model_cards import ModelCard, ModelMetric, TrainingData
from crystalmesh_client.models import Model
from crystalmesh_client.phases import Phase
from crystalmesh_client.phonons import PhononOptions, Phonons
from crystalmesh_client.predictions import DomainWarning, PredictedValue, Prediction
from crystalmesh_client.prompts import Prompt
from crystalmesh_client.properties import PropertyValue, ValueSource
from crystalmesh_client.queries import Query
from crystalmesh_client.references import Reference
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import Evaluation, Failed, Relaxation
from crystalmesh_client.scorecards import LabelledFrame, Scorecard, ScoreMetric
from crystalmesh_client.searches import SearchHit, SearchHits
from crystalmesh_client.trajectories import RelaxationFrame, Trajectory
from crystalmesh_client.transitions import Transition
from crystalmesh_client.validity import Validity
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError

__all__ = [
    "AddedMaterials",
    "AsyncMesh",
    "Campaign",
    "CampaignCandidate",
    "CampaignProgress",
    "CampaignResults",
    "CampaignSpec",
    "Candidate",
    "Candidates",
    "Catalog",
    "CatalogIndex",
    "Credentials",
    "Crystal",
    "CrystalMeshError",
    "DomainWarning",
    "DynamicsFrame",
    "DynamicsOptions",
    "DynamicsReport",
    "Elasticity",
    "ElasticityOptions",
    "Embedding",
    "EquationOfState",
    "EquationOfStateOptions",
    "Evaluation",
    "Failed",
    "FailedSample",
    "GenerationModel",
    "HullDistance",
    "LabelledFrame",
    "Match",
    "MatchTolerance",
    "Matches",
    "Material",
    "MaterialFilter",
    "MaterialInput",
    "MaterialSource",
    "Mesh",
    "Model",
    "ModelCard",
    "ModelMetric",
    "ParseFailure",
    "Phase",
    "PhaseDiagram",
    "PhononOptions",
    "Phonons",
    "PredictedValue",
    "Prediction",
    "Prompt",
    "PropertyValue",
    "Query",
    "Reference",
    "Rejection",
    "RelaxOptions",
    "Relaxation",
    "RelaxationFrame",
    "SampleOrigin",
    "ScoreMetric",
    "Scorecard",
    "SearchHit",
    "SearchHits",
    "Target",
    "TrainingData",
    "Trajectory",
    "Transition",
    "Validity",
    "ValueSource",
]
