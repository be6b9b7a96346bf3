"""The client side of RelaxationService, for asyncio code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from crystalmesh.relaxation.v1.relaxation_service_pb2 import ListModelsRequest
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceStub
from crystalmesh_client import relaxation_questions as ask
from crystalmesh_client.calls import AsyncCaller
from crystalmesh_client.connection import Connection
from crystalmesh_client.dynamics import DynamicsFrame, DynamicsOptions, DynamicsReport
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_client.models import Model, model_from
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.relaxation_questions import ALL_QUANTITIES, SERVICE, QuantityName
from crystalmesh_client.results import Evaluation, Failed, Relaxation, result_of
from crystalmesh_client.scorecards import (
    LabelledFrame,
    Scorecard,
    ScoreMetric,
    score_from,
    score_request,
    verdict_of,
)
from crystalmesh_client.trajectories import (
    DynamicsTrajectory,
    RelaxationFrame,
    RelaxationTrajectory,
    dynamics_trajectories,
    relaxation_trajectories,
)

if TYPE_CHECKING:
    from ase import Atoms


class AsyncRelaxationClient:
    """Potentials on crystals, from asyncio code; each method like its namesake of `RelaxationClient`."""

    def __init__(self, connection: Connection) -> None:
        self._caller = AsyncCaller(connection, SERVICE, RelaxationServiceStub)

    async def evaluate(
        self,
        crystal: CrystalLike,
        *,
        quantities: Sequence[QuantityName] = ALL_QUANTITIES,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Evaluation:
        """Energy, forces, stress and magnetic moments of one crystal; raises what is wrong with it."""
        one = [to_crystal(crystal)]
        outcomes = self.evaluate_many(one, quantities=quantities, model=model, timeout=timeout)
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def evaluate_many(
        self,
        crystals: Iterable[CrystalLike],
        *,
        quantities: Sequence[QuantityName] = ALL_QUANTITIES,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Evaluation | Failed, None]:
        """One outcome per crystal, as each is done."""
        question = ask.evaluations(quantities, model)
        return self._caller.outcomes(question, to_crystals(crystals), timeout)

    async def relax(
        self,
        crystal: CrystalLike,
        options: RelaxOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Relaxation:
        """One crystal at its nearest energy minimum; look at `converged`. Raises what is wrong with it."""
        outcomes = self.relax_many([to_crystal(crystal)], options, model=model, timeout=timeout)
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def relax_many(
        self,
        crystals: Iterable[CrystalLike],
        options: RelaxOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Relaxation | Failed, None]:
        """One outcome per crystal, as each is done."""
        return self._caller.outcomes(ask.relaxations(options, model), to_crystals(crystals), timeout)

    async def relax_frames(
        self,
        crystal: CrystalLike,
        options: RelaxOptions | None = None,
        *,
        every: int = 1,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> RelaxationTrajectory:
        """Like `relax`, with the crystal at the start, after every so many steps, and at the end."""
        one = [to_crystal(crystal)]
        stream = self.relax_frames_many(one, options, every=every, model=model, timeout=timeout)
        return result_of(next(relaxation_trajectories([item async for item in stream])))

    def relax_frames_many(
        self,
        crystals: Iterable[CrystalLike],
        options: RelaxOptions | None = None,
        *,
        every: int = 1,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[RelaxationFrame | Relaxation | Failed, None]:
        """Like `relax_many`, with frames before the outcome of each crystal, of all crystals in turn."""
        question = ask.relaxations_with_frames(options, every, model)
        return self._caller.outcomes(question, to_crystals(crystals), timeout)

    async def run_dynamics(
        self,
        crystal: CrystalLike,
        options: DynamicsOptions,
        *,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> DynamicsTrajectory:
        """Follow one crystal in time: frames, and a report. Raises what is wrong with it."""
        one = [to_crystal(crystal)]
        stream = self.run_dynamics_many(one, options, model=model, timeout=timeout)
        return result_of(next(dynamics_trajectories([item async for item in stream])))

    def run_dynamics_many(
        self,
        crystals: Iterable[CrystalLike],
        options: DynamicsOptions,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[DynamicsFrame | DynamicsReport | Failed, None]:
        """Follow crystals in time: frames as they come, and one report a crystal. As `relax_frames_many`."""
        return self._caller.outcomes(ask.dynamics_runs(options, model), to_crystals(crystals), timeout)

    async def score_potential(
        self,
        frames: Iterable[LabelledFrame | Atoms],
        *,
        scorecard: str = "",
        seed: int = 0,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Scorecard:
        """The verdict on a potential from labelled frames: ours, or Atoms whose calculator holds labels."""
        request = score_request(frames, scorecard, seed, model)
        responses = self._caller.responses("ScorePotential", request, timeout)
        return verdict_of([score_from(response) async for response in responses])

    async def score_potential_metrics(
        self,
        frames: Iterable[LabelledFrame | Atoms],
        *,
        scorecard: str = "",
        seed: int = 0,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> AsyncGenerator[ScoreMetric | Scorecard, None]:
        """Each metric as soon as it is known, and the scorecard in the end."""
        request = score_request(frames, scorecard, seed, model)
        async with aclosing(self._caller.responses("ScorePotential", request, timeout)) as responses:
            async for response in responses:
                yield score_from(response)

    async def models(self) -> list[Model]:
        """The potentials that the server runs, the default first."""
        response = await self._caller.look_up("ListModels", ListModelsRequest())
        return [model_from(message) for message in response.models]

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await self._caller.close()
