"""What campaigns ask of the other services, with answers as the messages that events keep."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol, cast

from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest, GenerateResponse
from crystalmesh.generation.v1.generation_service_pb2 import GenerationModel
from crystalmesh.generation.v1.generation_service_pb2 import ListModelsRequest as ListGenerators
from crystalmesh.generation.v1.generation_service_pb2 import ListModelsResponse as ListGeneratorsResponse
from crystalmesh.generation.v1.generation_service_pb2_grpc import GenerationServiceStub
from crystalmesh.property.v1.prediction_pb2 import Prediction
from crystalmesh.property.v1.property_service_pb2 import ListModelsRequest as ListPropertyModels
from crystalmesh.property.v1.property_service_pb2_grpc import PropertyServiceStub
from crystalmesh.relaxation.v1.relaxation_pb2 import Relaxation
from crystalmesh.relaxation.v1.relaxation_service_pb2 import ListModelsRequest as ListPotentials
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceStub
from crystalmesh.retrieval.v1.catalog_pb2 import Catalog, GetCatalogRequest, GetCatalogResponse
from crystalmesh.retrieval.v1.filter_pb2 import MaterialFilter
from crystalmesh.retrieval.v1.match_pb2 import Matches
from crystalmesh.retrieval.v1.material_pb2 import (
    GetMaterialRequest,
    GetMaterialResponse,
    Material,
    MaterialView,
)
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from crystalmesh.retrieval.v1.search_pb2 import Query, SearchHits, SearchRequest
from crystalmesh.stability.v1.hull_pb2 import HullDistance
from crystalmesh.stability.v1.reference_pb2 import Reference, ReferenceSummary
from crystalmesh.stability.v1.stability_service_pb2 import GetReferenceRequest, GetReferenceResponse
from crystalmesh.stability.v1.stability_service_pb2_grpc import StabilityServiceStub
from crystalmesh_client import property_questions, relaxation_questions, retrieval_questions
from crystalmesh_client import stability_questions as stability
from crystalmesh_client.batches import Item, Unanswered
from crystalmesh_client.calls import AsyncCaller
from crystalmesh_client.connection import Connection
from crystalmesh_client.phases import Phase
from crystalmesh_client.questions import Question, outcome_reader
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import Failed, result_of
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InternalError, UnreachableError
from crystalmesh_common.runtime.statuses import from_status

# How long a call may take; a service that hangs longer has failed this candidate.
_SEARCH_SECONDS = 120.0
_GENERATE_SECONDS = 1800.0
_PREDICT_SECONDS = 300.0
_RELAX_SECONDS = 1800.0
_SCORE_SECONDS = 300.0

_STUBS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "retrieval": ("retrieval", RetrievalServiceStub),
    "generation": ("generation", GenerationServiceStub),
    "property": ("property", PropertyServiceStub),
    "relaxation": ("relaxation", RelaxationServiceStub),
    "stability": ("relaxation", StabilityServiceStub),
}


class CampaignMesh(Protocol):
    """The services of a mesh, for the campaigns of one event loop.

    Calls raise what the service answered; what is wrong with one crystal is its outcome. Same question, same
    versions: same answer.
    """

    async def search(
        self, target: Target, *, catalog: str, limit: int, material_filter: MaterialFilter | None = None
    ) -> SearchHits:
        """The materials nearest to a target, whole."""

    async def material(self, catalog: str, material_id: str) -> Material:
        """A material, whole."""

    def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateResponse, None]:
        """The outcomes of samples as they come; after an error all are asked for again."""

    async def predict(self, crystals: Sequence[Crystal], model: str) -> Mapping[str, Prediction | Failed]:
        """What models say of each crystal, by its id."""

    async def relax(self, crystal: Crystal, model: str, options: RelaxOptions) -> Relaxation:
        """Where a crystal ends. Raises what is wrong with it."""

    async def score(self, crystal: Crystal, reference: str) -> HullDistance:
        """Where a relaxed crystal lies, by the reference's own potential. Raises what is wrong with it."""

    async def hull_energy(self, formula: str, reference: ReferenceSummary) -> float:
        """The formation energy of the hull at a composition, in eV per atom."""

    async def matches(self, crystals: Sequence[Crystal], catalog: str) -> Mapping[str, Matches | Failed]:
        """Which materials each crystal is, by its id."""

    async def catalog(self, name: str) -> Catalog:
        """A catalog, by default the server's."""

    async def reference(self, name: str) -> Reference:
        """A reference, by default the server's."""

    async def generation_models(self) -> Sequence[GenerationModel]:
        """The language models that write crystals, the default first."""

    async def property_models(self) -> Sequence[str]:
        """The names of the models that predict."""

    async def potentials(self) -> Sequence[str]:
        """The names of the potentials, the default first."""

    async def close(self) -> None:
        """End all calls."""

    def forget(self, service: str, error: Exception) -> None:
        """Look the service up anew with the next call, when it could not be reached where it was."""


class ServedMesh:
    """A mesh that is reached through the public client.

    The client below retries what is safe to retry and sends again what a lost server left out.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._callers: dict[str, AsyncCaller] = {}

    async def search(
        self, target: Target, *, catalog: str, limit: int, material_filter: MaterialFilter | None = None
    ) -> SearchHits:
        request = SearchRequest(
            queries=[Query(id="target", target=target)],
            catalog=catalog,
            limit=limit,
            filter=material_filter,
            view=MaterialView.MATERIAL_VIEW_FULL,
        )
        responses = self._caller("retrieval").responses("Search", request, _SEARCH_SECONDS)
        async with aclosing(responses):
            async for response in responses:
                if response.WhichOneof("outcome") == "error":
                    raise from_status(response.error)
                hits: SearchHits = response.hits
                return hits
        raise InternalError("the search ended without an answer")

    async def material(self, catalog: str, material_id: str) -> Material:
        request = GetMaterialRequest(catalog=catalog, material_id=material_id)
        response: GetMaterialResponse = await self._caller("retrieval").look_up("GetMaterial", request)
        return response.material

    def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateResponse, None]:
        return self._caller("generation").responses("Generate", request, _GENERATE_SECONDS)

    async def predict(self, crystals: Sequence[Crystal], model: str) -> dict[str, Prediction | Failed]:
        question = property_questions.predictions(None, model)
        return await self._outcomes(
            "property", question, crystals, field="prediction", seconds=_PREDICT_SECONDS
        )

    async def relax(self, crystal: Crystal, model: str, options: RelaxOptions) -> Relaxation:
        question = relaxation_questions.relaxations(options, model)
        outcomes = await self._outcomes(
            "relaxation", question, [crystal], field="relaxation", seconds=_RELAX_SECONDS
        )
        return cast("Relaxation", _the_only(outcomes))

    async def score(self, crystal: Crystal, reference: str) -> HullDistance:
        return await self._hull_distance(Phase(crystal, crystal.id), reference)

    async def hull_energy(self, formula: str, reference: ReferenceSummary) -> float:
        phase = Phase(formula, formula, formation_energy_ev_per_atom=0.0)
        distance = await self._hull_distance(phase, reference.name, reference.energy_scheme)
        return -distance.energy_above_hull_ev_per_atom

    async def matches(self, crystals: Sequence[Crystal], catalog: str) -> dict[str, Matches | Failed]:
        question = retrieval_questions.matches(catalog, None)
        return await self._outcomes("retrieval", question, crystals, field="matches", seconds=_SEARCH_SECONDS)

    async def catalog(self, name: str) -> Catalog:
        request = GetCatalogRequest(name=name)
        response: GetCatalogResponse = await self._caller("retrieval").look_up("GetCatalog", request)
        return response.catalog

    async def reference(self, name: str) -> Reference:
        request = GetReferenceRequest(name=name)
        response: GetReferenceResponse = await self._caller("stability").look_up("GetReference", request)
        return response.reference

    async def generation_models(self) -> Sequence[GenerationModel]:
        response: ListGeneratorsResponse = await self._caller("generation").look_up(
            "ListModels", ListGenerators()
        )
        return list(response.models)

    async def property_models(self) -> Sequence[str]:
        listed = await self._caller("property").look_up("ListModels", ListPropertyModels())
        return [entry.model.name for entry in listed.models]

    async def potentials(self) -> Sequence[str]:
        listed = await self._caller("relaxation").look_up("ListModels", ListPotentials())
        return [entry.name for entry in listed.models]

    async def close(self) -> None:
        """Close all channels; running calls are cancelled."""
        callers, self._callers = list(self._callers.values()), {}
        for caller in callers:
            await caller.close()

    def forget(self, service: str, error: Exception) -> None:
        if isinstance(error, UnreachableError):
            for name, (host, _) in _STUBS.items():
                if host == service:
                    self._callers.pop(name, None)

    def _caller(self, service: str) -> AsyncCaller:
        if service not in self._callers:
            host, stub = _STUBS[service]
            self._callers[service] = AsyncCaller(self._connection, host, stub)
        return self._callers[service]

    async def _hull_distance(self, phase: Phase, reference: str, energy_scheme: str = "") -> HullDistance:
        question = stability.hull_distances(
            reference=reference, energy_scheme=energy_scheme, relax_first=False, model=""
        )
        outcomes = await self._outcomes(
            "stability", question, [phase], field="hull_distance", seconds=_SCORE_SECONDS
        )
        return cast("HullDistance", _the_only(outcomes))

    async def _outcomes(
        self, service: str, asked: Question[Item, Any], items: Sequence[Item], *, field: str, seconds: float
    ) -> dict[str, Any]:
        """What comes of each item, by its id: the message in `field` of its outcome, or why not."""
        outcomes = self._caller(service).outcomes(_as_messages(asked, field), items, seconds)
        async with aclosing(outcomes):
            return dict([outcome async for outcome in outcomes])


def _as_messages(asked: Question[Item, Any], field: str) -> Question[Item, tuple[str, Any]]:
    read_message = outcome_reader(field, lambda message, item: (item.id, message))

    def read(response: Any, unanswered: Unanswered[Item]) -> tuple[str, Any]:
        outcome = read_message(response, unanswered)
        return (outcome.id, outcome) if isinstance(outcome, Failed) else outcome

    return Question(asked.rpc, asked.request, read)


def _the_only(outcomes: Mapping[str, Any]) -> Any:
    return result_of(next(iter(outcomes.values())))
