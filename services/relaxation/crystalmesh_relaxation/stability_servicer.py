"""StabilityService: translation between the wire, the hulls and the runner, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from crystalmesh.stability.v1.elasticity_pb2 import (
    ComputeElasticTensorRequest,
    ComputeElasticTensorResponse,
)
from crystalmesh.stability.v1.equation_of_state_pb2 import (
    FitEquationOfStateRequest,
    FitEquationOfStateResponse,
)
from crystalmesh.stability.v1.hull_pb2 import ScoreStabilityRequest, ScoreStabilityResponse
from crystalmesh.stability.v1.phase_diagram_pb2 import GetPhaseDiagramRequest, GetPhaseDiagramResponse
from crystalmesh.stability.v1.phonons_pb2 import ComputePhononsRequest, ComputePhononsResponse
from crystalmesh.stability.v1.stability_service_pb2 import (
    GetReferenceRequest,
    GetReferenceResponse,
    ListReferencesRequest,
    ListReferencesResponse,
)
from crystalmesh.stability.v1.stability_service_pb2_grpc import StabilityServiceServicer
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.intake import read_input, read_inputs
from crystalmesh_common.runtime.pages import page_of
from crystalmesh_common.runtime.runner import Finished
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_relaxation import convert_mechanics, convert_stability
from crystalmesh_relaxation.convert_mechanics import MechanicsOptions, MechanicsOrder
from crystalmesh_relaxation.convert_stability import ScoreOrder
from crystalmesh_relaxation.engine import Evaluation, Network, PotentialInfo, Quantity
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.recent_energies import RecentEnergies
from crystalmesh_relaxation.relaxing.task import Relaxation, RelaxationTask, RelaxOptions
from crystalmesh_relaxation.servicer import PotentialRunner
from crystalmesh_relaxation.stability.references import References
from crystalmesh_relaxation.stability.scoring import HullDistance, hull_distance
from crystalmesh_relaxation.worker import Item, WorkKey

# Phases that bring their energy take some ten microseconds each, once their hulls are known.
_CHUNK = 128


class StabilityServicer(StabilityServiceServicer):
    """Scores against references, with potentials where energies are missing."""

    def __init__(
        self,
        runner: PotentialRunner,
        models: Models,
        references: References,
        limits: Limits,
        energies: RecentEnergies,
    ) -> None:
        self._runner = runner
        self._models = models
        self._references = references
        self._limits = limits
        self._energies = energies

    async def ScoreStability(
        self, request: ScoreStabilityRequest, context: CallContext
    ) -> AsyncIterator[ScoreStabilityResponse]:
        order = convert_stability.score_order(request, self._references, self._models, self._limits)
        known = order.with_energy
        for start in range(0, len(known), _CHUNK):
            for response in await asyncio.to_thread(self._score_known, order, known[start : start + _CHUNK]):
                yield response
        if order.potential is not None:
            computed = self._compute(order, order.potential, context.time_remaining())
            async with aclosing(computed):
                async for response in computed:
                    yield response

    async def GetPhaseDiagram(
        self, request: GetPhaseDiagramRequest, context: CallContext
    ) -> GetPhaseDiagramResponse:
        system = convert_stability.system_of_request(request)
        reference = self._references.resolve(request.reference)
        limited = request.HasField("max_energy_above_hull_ev_per_atom")
        limit = request.max_energy_above_hull_ev_per_atom if limited else None
        diagram = await asyncio.to_thread(convert_stability.phase_diagram, reference, system, limit)
        return GetPhaseDiagramResponse(phase_diagram=diagram)

    async def FitEquationOfState(
        self, request: FitEquationOfStateRequest, context: CallContext
    ) -> AsyncIterator[FitEquationOfStateResponse]:
        order = convert_mechanics.equation_of_state_order(request, self._models, self._limits)
        crystals = read_inputs(request.crystals, order.ids, max_atoms=self._limits.atoms_per_crystal)
        tasks = convert_mechanics.equation_of_state_tasks(crystals, order.options)
        outcomes = self._work(order, tasks, context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert_mechanics.equation_of_state_response(
                    order.ids[index], index, outcome, order.potential.name
                )

    async def ComputeElasticTensor(
        self, request: ComputeElasticTensorRequest, context: CallContext
    ) -> AsyncIterator[ComputeElasticTensorResponse]:
        order = convert_mechanics.elasticity_order(request, self._models, self._limits)
        crystals = read_inputs(request.crystals, order.ids, max_atoms=self._limits.atoms_per_crystal)
        tasks = convert_mechanics.elasticity_tasks(crystals, order.options)
        outcomes = self._work(order, tasks, context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert_mechanics.elasticity_response(
                    order.ids[index], index, outcome, order.potential.name
                )

    async def ComputePhonons(
        self, request: ComputePhononsRequest, context: CallContext
    ) -> AsyncIterator[ComputePhononsResponse]:
        order = convert_mechanics.phonon_order(request, self._models, self._limits)
        crystals = read_inputs(request.crystals, order.ids, max_atoms=self._limits.atoms_per_crystal)
        tasks = convert_mechanics.phonon_tasks(crystals, order.options, self._limits)
        outcomes = self._work(order, tasks, context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert_mechanics.phonon_response(
                    order.ids[index], index, outcome, order.potential.name
                )

    async def ListReferences(
        self, request: ListReferencesRequest, context: CallContext
    ) -> ListReferencesResponse:
        everything = self._references.all()
        page, token = page_of(everything, "references", request.page_size, request.page_token)
        return ListReferencesResponse(
            references=map(convert_stability.reference_summary, page), next_page_token=token
        )

    async def GetReference(self, request: GetReferenceRequest, context: CallContext) -> GetReferenceResponse:
        reference = self._references.resolve(request.name)
        return GetReferenceResponse(reference=convert_stability.reference_message(reference))

    def _work(
        self,
        order: MechanicsOrder[MechanicsOptions],
        tasks: AsyncIterator[Item | CrystalMeshError],
        seconds: float | None,
    ) -> AsyncGenerator[tuple[int, object], None]:
        key = WorkKey(order.potential.name, Network.FAST, order.options.quantities)
        return self._runner.stream(key, tasks, seconds=seconds)

    def _score_known(self, order: ScoreOrder, positions: Sequence[int]) -> list[ScoreStabilityResponse]:
        return [
            convert_stability.score_response(order.ids[position], position, self._known(order, position))
            for position in positions
        ]

    def _known(self, order: ScoreOrder, position: int) -> HullDistance | CrystalMeshError:
        phase = order.phases[position]
        crystal = None
        if phase.WhichOneof("material") == "crystal":
            crystal = read_input(phase.crystal, order.ids[position], max_atoms=self._limits.atoms_per_crystal)
        if isinstance(crystal, CrystalMeshError):
            return crystal
        try:
            return hull_distance(convert_stability.known_phase(phase, crystal), order.reference)
        except CrystalMeshError as error:
            return error

    async def _compute(
        self, order: ScoreOrder, potential: PotentialInfo, seconds: float | None
    ) -> AsyncGenerator[ScoreStabilityResponse, None]:
        positions = order.without_energy
        quantities = potential.quantities if order.relax_first else frozenset({Quantity.ENERGY})
        key = WorkKey(potential.name, Network.FAST, quantities)
        crystals: dict[int, Crystal] = {}
        items = self._items(order, potential.name, crystals)
        outcomes = self._runner.stream(key, items, seconds=seconds)
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                position = positions[index]
                found = await asyncio.to_thread(
                    _place, order, position, crystals.pop(position, None), outcome, potential.name
                )
                yield convert_stability.score_response(order.ids[position], position, found)

    async def _items(
        self, order: ScoreOrder, model: str, crystals: dict[int, Crystal]
    ) -> AsyncIterator[Item | Finished[object] | CrystalMeshError]:
        """What the runner is to work on, in order; the crystals are kept by position."""
        positions = order.without_energy
        inputs = [order.phases[position].crystal for position in positions]
        ids = [order.ids[position] for position in positions]
        remaining = iter(positions)
        async for crystal in read_inputs(inputs, ids, max_atoms=self._limits.atoms_per_crystal):
            position = next(remaining)
            problem = convert_stability.problem_of(order, position, crystal)
            if problem is not None or isinstance(crystal, CrystalMeshError):
                yield problem or crystal
                continue
            crystals[position] = crystal
            if order.relax_first:
                yield RelaxationTask(crystal, RelaxOptions())
            else:
                known = self._energies.evaluation(model, crystal)
                yield Finished(known) if known else crystal


def _place(
    order: ScoreOrder, position: int, crystal: Crystal | None, outcome: object, model: str
) -> HullDistance | CrystalMeshError:
    """Where a phase lies once a potential has given its energy."""
    if isinstance(outcome, CrystalMeshError):
        return outcome
    if crystal is None or not isinstance(outcome, Evaluation | Relaxation):
        raise TypeError(f"a score cannot come of {type(outcome).__name__}")
    try:
        phase = convert_stability.computed_phase(order.phases[position], crystal, outcome, model)
        return hull_distance(phase, order.reference)
    except CrystalMeshError as error:
        return error
