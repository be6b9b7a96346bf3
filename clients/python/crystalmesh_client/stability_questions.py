"""What StabilityService is asked, the same from synchronous and from asyncio code."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.stability.v1.hull_pb2 import ScoreStabilityRequest
from crystalmesh.stability.v1.phase_diagram_pb2 import GetPhaseDiagramRequest
from crystalmesh_client.elasticity import Elasticity, ElasticityOptions, elasticity_from
from crystalmesh_client.equations_of_state import (
    EquationOfState,
    EquationOfStateOptions,
    equation_of_state_from,
)
from crystalmesh_client.hulls import HullDistance, hull_distance_from
from crystalmesh_client.phases import Phase
from crystalmesh_client.phonons import PhononOptions, Phonons, phonons_from
from crystalmesh_client.questions import Question, about_crystals, outcome_reader
from crystalmesh_client.results import Failed
from crystalmesh_common.crystal.structure import Crystal

SERVICE = "relaxation"
"""The process that hosts StabilityService."""

_read_hull_distance = outcome_reader("hull_distance", hull_distance_from)
_read_equation_of_state = outcome_reader("equation_of_state", equation_of_state_from)
_read_elasticity = outcome_reader("elasticity", elasticity_from)
_read_phonons = outcome_reader("phonons", phonons_from)


def hull_distances(
    *,
    reference: str,
    energy_scheme: str,
    relax_first: bool,
    model: str,
) -> Question[Phase, HullDistance | Failed]:
    """Ask where phases lie."""

    def request(phases: Sequence[Phase]) -> ScoreStabilityRequest:
        return ScoreStabilityRequest(
            phases=[phase.to_proto() for phase in phases],
            reference=reference,
            energy_scheme=energy_scheme,
            relax_first=relax_first,
            model=model,
        )

    return Question("ScoreStability", request, _read_hull_distance)


def phase_diagram_request(
    chemical_system: str, reference: str, max_energy_above_hull_ev_per_atom: float | None
) -> GetPhaseDiagramRequest:
    """The message that asks for the hull of a chemical system."""
    return GetPhaseDiagramRequest(
        chemical_system=chemical_system,
        reference=reference,
        max_energy_above_hull_ev_per_atom=max_energy_above_hull_ev_per_atom,
    )


def equations_of_state(
    options: EquationOfStateOptions | None, model: str
) -> Question[Crystal, EquationOfState | Failed]:
    """Ask for energy as a function of volume."""
    asked = (options or EquationOfStateOptions()).to_proto(model)
    return about_crystals("FitEquationOfState", asked, _read_equation_of_state)


def elastic_tensors(options: ElasticityOptions | None, model: str) -> Question[Crystal, Elasticity | Failed]:
    """Ask for stiffness."""
    asked = (options or ElasticityOptions()).to_proto(model)
    return about_crystals("ComputeElasticTensor", asked, _read_elasticity)


def vibrations(options: PhononOptions | None, model: str) -> Question[Crystal, Phonons | Failed]:
    """Ask for phonons at Gamma."""
    asked = (options or PhononOptions()).to_proto(model)
    return about_crystals("ComputePhonons", asked, _read_phonons)
