"""The client side of RelaxationService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal, TypeVar

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import evaluation_pb2, relaxation_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh.relaxation.v1.relaxation_service_pb2 import ListModelsRequest
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceStub
from crystalmesh_client.batches import Unanswered
from crystalmesh_client.connection import Connection, translated_errors
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_client.models import Model, model_from
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import (
    Evaluation,
    Failed,
    Relaxation,
    evaluation_from,
    relaxation_from,
)
from crystalmesh_client.streams import CrystalStream
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.statuses import from_status

if TYPE_CHECKING:
    # Generated for type checkers only.
    from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceAsyncStub

SERVICE = "relaxation"
QuantityName = Literal["energy", "forces", "stress", "magnetic_moments"]
_QUANTITIES: Mapping[str, evaluation_pb2.Quantity.ValueType] = {
    "energy": evaluation_pb2.QUANTITY_ENERGY,
    "forces": evaluation_pb2.QUANTITY_FORCES,
    "stress": evaluation_pb2.QUANTITY_STRESS,
    "magnetic_moments": evaluation_pb2.QUANTITY_MAGNETIC_MOMENTS,
}
ALL_QUANTITIES: tuple[QuantityName, ...] = ("energy", "forces", "stress", "magnetic_moments")


class RelaxationClient:
    """Potentials on crystals, from synchronous code."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = connection.sync_channel(SERVICE)
        self._stub = RelaxationServiceStub(self._channel)

    def evaluate(
        self,
        crystal: CrystalLike,
        *,
        quantities: Sequence[QuantityName] = ALL_QUANTITIES,
        model: str = "",
        timeout: float | None = None,
    ) -> Evaluation:
        """Energy, forces, stress and magnetic moments of one crystal; raises what is wrong with it."""
        one = [to_crystal(crystal)]
        return _result(next(self.evaluate_many(one, quantities=quantities, model=model, timeout=timeout)))

    def evaluate_many(
        self,
        crystals: Iterable[CrystalLike],
        *,
        quantities: Sequence[QuantityName] = ALL_QUANTITIES,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[Evaluation | Failed]:
        """One outcome per crystal, as each is done. Any number of crystals; ids must be distinct.

        `timeout` bounds each call of some hundred crystals, in seconds. When the server goes away and comes
        back meanwhile, crystals without an outcome are sent again. Closing the iterator cancels the rest.
        """
        stream = _evaluations(self._connection, quantities, model, timeout)
        return stream.outcomes(self._stub.Evaluate, to_crystals(crystals))

    def relax(
        self,
        crystal: CrystalLike,
        options: RelaxOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Relaxation:
        """One crystal at its nearest energy minimum; look at `converged`. Raises what is wrong with it."""
        one = [to_crystal(crystal)]
        return _result(next(self.relax_many(one, options, model=model, timeout=timeout)))

    def relax_many(
        self,
        crystals: Iterable[CrystalLike],
        options: RelaxOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[Relaxation | Failed]:
        """One outcome per crystal, as each is done; otherwise like `evaluate_many`."""
        stream = _relaxations(self._connection, options, model, timeout)
        return stream.outcomes(self._stub.Relax, to_crystals(crystals))

    def models(self) -> list[Model]:
        """The potentials that the server runs, the default first."""
        with translated_errors():
            response = self._stub.ListModels(
                ListModelsRequest(), metadata=self._connection.metadata(SERVICE), timeout=30
            )
        return [model_from(message) for message in response.models]

    def close(self) -> None:
        self._channel.close()


class AsyncRelaxationClient:
    """Potentials on crystals, from asyncio code; each method like its namesake of `RelaxationClient`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = connection.async_channel(SERVICE)
        self._stub: RelaxationServiceAsyncStub = RelaxationServiceStub(self._channel)

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
            return _result(await anext(outcomes))

    def evaluate_many(
        self,
        crystals: Iterable[CrystalLike],
        *,
        quantities: Sequence[QuantityName] = ALL_QUANTITIES,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Evaluation | Failed, None]:
        """One outcome per crystal, as each is done."""
        stream = _evaluations(self._connection, quantities, model, timeout)
        return stream.outcomes_async(self._stub.Evaluate, to_crystals(crystals))

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
            return _result(await anext(outcomes))

    def relax_many(
        self,
        crystals: Iterable[CrystalLike],
        options: RelaxOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Relaxation | Failed, None]:
        """One outcome per crystal, as each is done."""
        stream = _relaxations(self._connection, options, model, timeout)
        return stream.outcomes_async(self._stub.Relax, to_crystals(crystals))

    async def models(self) -> list[Model]:
        """The potentials that the server runs, the default first."""
        with translated_errors():
            response = await self._stub.ListModels(
                ListModelsRequest(), metadata=self._connection.metadata(SERVICE), timeout=30
            )
        return [model_from(message) for message in response.models]

    async def close(self) -> None:
        await self._channel.close()


Result = TypeVar("Result", Evaluation, Relaxation)


def _result(outcome: Result | Failed) -> Result:
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome


def _evaluations(
    connection: Connection, quantities: Sequence[QuantityName], model: str, timeout: float | None
) -> CrystalStream[EvaluateRequest, EvaluateResponse, Evaluation | Failed]:
    def request(crystals: Sequence[Crystal]) -> EvaluateRequest:
        return _evaluate_request(crystals, quantities, model)

    return CrystalStream(connection, SERVICE, request, _outcome, timeout)


def _relaxations(
    connection: Connection, options: RelaxOptions | None, model: str, timeout: float | None
) -> CrystalStream[relaxation_pb2.RelaxRequest, relaxation_pb2.RelaxResponse, Relaxation | Failed]:
    def request(crystals: Sequence[Crystal]) -> relaxation_pb2.RelaxRequest:
        return _relax_request(crystals, options, model)

    return CrystalStream(connection, SERVICE, request, _relaxed, timeout)


def _evaluate_request(
    crystals: Sequence[Crystal], quantities: Sequence[QuantityName], model: str
) -> EvaluateRequest:
    unknown = [name for name in quantities if name not in _QUANTITIES]
    if unknown:
        raise ValueError(f"no quantity {unknown[0]!r}; there are {', '.join(_QUANTITIES)}")
    return EvaluateRequest(
        crystals=[CrystalInput(id=crystal.id, crystal=crystal_to_proto(crystal)) for crystal in crystals],
        quantities=[_QUANTITIES[name] for name in quantities],
        model=model,
    )


def _relax_request(
    crystals: Sequence[Crystal], options: RelaxOptions | None, model: str
) -> relaxation_pb2.RelaxRequest:
    return relaxation_pb2.RelaxRequest(
        crystals=[CrystalInput(id=crystal.id, crystal=crystal_to_proto(crystal)) for crystal in crystals],
        options=(options or RelaxOptions()).to_proto(),
        model=model,
    )


def _relaxed(response: relaxation_pb2.RelaxResponse, unanswered: Unanswered) -> Relaxation | Failed:
    crystal = unanswered.answered(response.crystal_id)
    if response.WhichOneof("outcome") == "relaxation":
        return relaxation_from(response.relaxation, crystal)
    return Failed(crystal.id, from_status(response.error))


def _outcome(response: EvaluateResponse, unanswered: Unanswered) -> Evaluation | Failed:
    crystal = unanswered.answered(response.crystal_id)
    if response.WhichOneof("outcome") == "evaluation":
        return evaluation_from(response.evaluation, crystal)
    return Failed(crystal.id, from_status(response.error))
