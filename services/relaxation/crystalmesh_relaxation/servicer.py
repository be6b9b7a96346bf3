"""RelaxationService: translation between the wire and the runner, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from crystalmesh.relaxation.v1.dynamics_pb2 import RunMolecularDynamicsRequest, RunMolecularDynamicsResponse
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh.relaxation.v1.relaxation_pb2 import RelaxRequest, RelaxResponse
from crystalmesh.relaxation.v1.relaxation_service_pb2 import ListModelsRequest, ListModelsResponse
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceServicer
from crystalmesh.relaxation.v1.scorecard_pb2 import ScorePotentialRequest, ScorePotentialResponse
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.intake import read_inputs
from crystalmesh_common.runtime.runner import Runner, RunnerState
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_relaxation import convert, convert_dynamics, convert_relax, convert_scorecard
from crystalmesh_relaxation.engine import Network
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.recent_energies import RecentEnergies
from crystalmesh_relaxation.relaxing.task import Relaxation
from crystalmesh_relaxation.scorecard.laboratory import StagedWork
from crystalmesh_relaxation.scorecard.scoring import judged
from crystalmesh_relaxation.worker import Item, WorkKey

PotentialRunner = Runner[WorkKey, Item, object]


class RelaxationServicer(RelaxationServiceServicer):
    """Serves potentials."""

    def __init__(
        self,
        runner: PotentialRunner,
        models: Models,
        limits: Limits,
        energies: RecentEnergies,
        *,
        evaluate_with: Network,
    ) -> None:
        self._runner = runner
        self._models = models
        self._limits = limits
        self._energies = energies
        self._evaluate_with = evaluate_with

    async def Evaluate(
        self, request: EvaluateRequest, context: CallContext
    ) -> AsyncIterator[EvaluateResponse]:
        order = convert.evaluate_order(request, self._models, self._limits)
        crystals = read_inputs(request.crystals, order.ids, max_atoms=self._limits.atoms_per_crystal)
        key = WorkKey(order.model, self._evaluate_with, order.quantities)
        outcomes = self._runner.stream(key, crystals, seconds=context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert.evaluate_response(order.ids[index], index, outcome, order.model)

    async def Relax(self, request: RelaxRequest, context: CallContext) -> AsyncIterator[RelaxResponse]:
        order = convert_relax.relax_order(request, self._models, self._limits)
        crystals = read_inputs(request.crystals, order.ids, max_atoms=self._limits.atoms_per_crystal)
        key = WorkKey(order.potential.name, Network.FAST, order.potential.quantities)
        outcomes = self._runner.stream(
            key, convert_relax.relax_tasks(crystals, order), seconds=context.time_remaining()
        )
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                if isinstance(outcome, Relaxation):
                    self._energies.remember(order.potential.name, outcome.crystal, outcome.final.energy_ev)
                yield convert_relax.relax_response(order.ids[index], index, outcome, order.potential.name)

    async def RunMolecularDynamics(
        self, request: RunMolecularDynamicsRequest, context: CallContext
    ) -> AsyncIterator[RunMolecularDynamicsResponse]:
        order = convert_dynamics.dynamics_order(request, self._models, self._limits)
        crystals = read_inputs(request.crystals, order.ids, max_atoms=self._limits.atoms_per_crystal)
        key = WorkKey(order.potential.name, Network.FAST, order.options.quantities)
        outcomes = self._runner.stream(
            key, convert_dynamics.dynamics_tasks(crystals, order.options), seconds=context.time_remaining()
        )
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert_dynamics.dynamics_response(order.ids[index], index, outcome)

    async def ScorePotential(
        self, request: ScorePotentialRequest, context: CallContext
    ) -> AsyncIterator[ScorePotentialResponse]:
        order = convert_scorecard.score_order(request, self._models, self._limits)
        inputs = [frame.crystal for frame in request.frames]
        crystals = read_inputs(inputs, order.ids, max_atoms=self._limits.atoms_per_crystal)
        frames = await convert_scorecard.labelled_frames(request.frames, crystals)
        key = WorkKey(order.potential.name, Network.FAST, convert_scorecard.SCORED_QUANTITIES)
        laboratory = StagedWork(
            lambda items: self._runner.stream(key, items, seconds=context.time_remaining())
        )
        async with aclosing(laboratory):
            async for outcome in judged(frames, order.definition, laboratory, seed=order.seed):
                yield convert_scorecard.score_response(outcome, order.potential.name)

    async def ListModels(self, request: ListModelsRequest, context: CallContext) -> ListModelsResponse:
        ready = self._runner.state is RunnerState.READY
        return ListModelsResponse(models=convert.model_infos(self._models, ready=ready))
