"""The client side of StabilityService, for asyncio code."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from crystalmesh.stability.v1.stability_service_pb2 import GetReferenceRequest, ListReferencesRequest
from crystalmesh.stability.v1.stability_service_pb2_grpc import StabilityServiceStub
from crystalmesh_client import stability_questions as ask
from crystalmesh_client.calls import AsyncCaller
from crystalmesh_client.connection import Connection
from crystalmesh_client.elasticity import Elasticity, ElasticityOptions
from crystalmesh_client.equations_of_state import EquationOfState, EquationOfStateOptions
from crystalmesh_client.hulls import HullDistance, PhaseDiagram, phase_diagram_from
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_client.phases import Phase, to_phases
from crystalmesh_client.phonons import PhononOptions, Phonons
from crystalmesh_client.references import Reference, ReferenceDescription, description_from, reference_from
from crystalmesh_client.results import Failed, result_of


class AsyncStabilityClient:
    """Whether crystals would last, from asyncio code; each method like its namesake of `StabilityClient`."""

    def __init__(self, connection: Connection) -> None:
        self._caller = AsyncCaller(connection, ask.SERVICE, StabilityServiceStub)

    async def score(
        self,
        phase: Phase | CrystalLike,
        *,
        reference: str = "",
        energy_scheme: str = "",
        relax_first: bool = False,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> HullDistance:
        """Where one phase lies against a hull; otherwise like `score_many`. Raises what is wrong with it."""
        outcomes = self.score_many(
            [phase],
            reference=reference,
            energy_scheme=energy_scheme,
            relax_first=relax_first,
            model=model,
            timeout=timeout,
        )
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def score_many(
        self,
        phases: Iterable[Phase | CrystalLike],
        *,
        reference: str = "",
        energy_scheme: str = "",
        relax_first: bool = False,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[HullDistance | Failed, None]:
        """One outcome per phase, as each is done."""
        question = ask.hull_distances(
            reference=reference, energy_scheme=energy_scheme, relax_first=relax_first, model=model
        )
        return self._caller.outcomes(question, to_phases(phases), timeout)

    async def phase_diagram(
        self,
        chemical_system: str,
        *,
        reference: str = "",
        max_energy_above_hull_ev_per_atom: float | None = None,
    ) -> PhaseDiagram:
        """The hull of a chemical system such as "Li-Fe-O", with all entries, or with those near the hull."""
        request = ask.phase_diagram_request(chemical_system, reference, max_energy_above_hull_ev_per_atom)
        return phase_diagram_from((await self._caller.look_up("GetPhaseDiagram", request)).phase_diagram)

    async def fit_equation_of_state(
        self,
        crystal: CrystalLike,
        options: EquationOfStateOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> EquationOfState:
        """Energy as a function of volume of one crystal; look at `reliable`. Raises what is wrong with it."""
        outcomes = self.fit_equation_of_state_many(
            [to_crystal(crystal)], options, model=model, timeout=timeout
        )
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def fit_equation_of_state_many(
        self,
        crystals: Iterable[CrystalLike],
        options: EquationOfStateOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[EquationOfState | Failed, None]:
        """One outcome per crystal, as each is done."""
        return self._caller.outcomes(ask.equations_of_state(options, model), to_crystals(crystals), timeout)

    async def elastic_tensor(
        self,
        crystal: CrystalLike,
        options: ElasticityOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Elasticity:
        """The stiffness of one crystal and its moduli. Raises what is wrong with it."""
        outcomes = self.elastic_tensor_many([to_crystal(crystal)], options, model=model, timeout=timeout)
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def elastic_tensor_many(
        self,
        crystals: Iterable[CrystalLike],
        options: ElasticityOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Elasticity | Failed, None]:
        """One outcome per crystal, as each is done."""
        return self._caller.outcomes(ask.elastic_tensors(options, model), to_crystals(crystals), timeout)

    async def phonons(
        self,
        crystal: CrystalLike,
        options: PhononOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Phonons:
        """The vibrations of one crystal at Gamma. Raises what is wrong with it."""
        outcomes = self.phonons_many([to_crystal(crystal)], options, model=model, timeout=timeout)
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def phonons_many(
        self,
        crystals: Iterable[CrystalLike],
        options: PhononOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Phonons | Failed, None]:
        """One outcome per crystal, as each is done."""
        return self._caller.outcomes(ask.vibrations(options, model), to_crystals(crystals), timeout)

    async def references(self) -> list[Reference]:
        """The references that the server scores against, the default first."""
        listed: list[Reference] = []
        page = ListReferencesRequest()
        while True:
            response = await self._caller.look_up("ListReferences", page)
            listed += [reference_from(message) for message in response.references]
            if not response.next_page_token:
                return listed
            page.page_token = response.next_page_token

    async def reference(self, name: str = "") -> ReferenceDescription:
        """Where a reference comes from and which elements it covers; without a name, the default."""
        response = await self._caller.look_up("GetReference", GetReferenceRequest(name=name))
        return description_from(response.reference)

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await self._caller.close()
