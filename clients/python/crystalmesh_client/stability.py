"""The client side of StabilityService, for synchronous code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crystalmesh.stability.v1.stability_service_pb2 import GetReferenceRequest, ListReferencesRequest
from crystalmesh.stability.v1.stability_service_pb2_grpc import StabilityServiceStub
from crystalmesh_client import stability_questions as ask
from crystalmesh_client.calls import Caller
from crystalmesh_client.connection import Connection
from crystalmesh_client.elasticity import Elasticity, ElasticityOptions
from crystalmesh_client.equations_of_state import EquationOfState, EquationOfStateOptions
from crystalmesh_client.hulls import HullDistance, PhaseDiagram, phase_diagram_from
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_client.phases import Phase, to_phases
from crystalmesh_client.phonons import PhononOptions, Phonons
from crystalmesh_client.references import Reference, ReferenceDescription, description_from, reference_from
from crystalmesh_client.results import Failed, result_of


class StabilityClient:
    """Whether crystals would last, from synchronous code."""

    def __init__(self, connection: Connection) -> None:
        self._caller = Caller(connection, ask.SERVICE, StabilityServiceStub)

    def score(
        self,
        phase: Phase | CrystalLike,
        *,
        reference: str = "",
        energy_scheme: str = "",
        relax_first: bool = False,
        model: str = "",
        timeout: float | None = None,
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
        return result_of(next(outcomes))

    def score_many(
        self,
        phases: Iterable[Phase | CrystalLike],
        *,
        reference: str = "",
        energy_scheme: str = "",
        relax_first: bool = False,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[HullDistance | Failed]:
        """One outcome per phase, as each is done; ids must be distinct.

        A `Phase` may bring its energy, and then `energy_scheme` has to say of which scheme it is ("MP2020");
        the energy of a crystal is computed, after a relaxation with `relax_first`. One that is not at its
        minimum scores too high. The default reference is the server's. `timeout`, lost servers and closing
        as in `RelaxationClient.evaluate_many`.
        """
        question = ask.hull_distances(
            reference=reference, energy_scheme=energy_scheme, relax_first=relax_first, model=model
        )
        return self._caller.outcomes(question, to_phases(phases), timeout)

    def phase_diagram(
        self,
        chemical_system: str,
        *,
        reference: str = "",
        max_energy_above_hull_ev_per_atom: float | None = None,
    ) -> PhaseDiagram:
        """The hull of a chemical system such as "Li-Fe-O", with all entries, or with those near the hull."""
        request = ask.phase_diagram_request(chemical_system, reference, max_energy_above_hull_ev_per_atom)
        return phase_diagram_from(self._caller.look_up("GetPhaseDiagram", request).phase_diagram)

    def fit_equation_of_state(
        self,
        crystal: CrystalLike,
        options: EquationOfStateOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> EquationOfState:
        """Energy as a function of volume of one crystal; look at `reliable`. Raises what is wrong with it."""
        one = [to_crystal(crystal)]
        return result_of(next(self.fit_equation_of_state_many(one, options, model=model, timeout=timeout)))

    def fit_equation_of_state_many(
        self,
        crystals: Iterable[CrystalLike],
        options: EquationOfStateOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[EquationOfState | Failed]:
        """One outcome per crystal, as each is done; otherwise like `RelaxationClient.evaluate_many`."""
        return self._caller.outcomes(ask.equations_of_state(options, model), to_crystals(crystals), timeout)

    def elastic_tensor(
        self,
        crystal: CrystalLike,
        options: ElasticityOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Elasticity:
        """The stiffness of one crystal and its moduli. Raises what is wrong with it."""
        one = [to_crystal(crystal)]
        return result_of(next(self.elastic_tensor_many(one, options, model=model, timeout=timeout)))

    def elastic_tensor_many(
        self,
        crystals: Iterable[CrystalLike],
        options: ElasticityOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[Elasticity | Failed]:
        """One outcome per crystal, as each is done; otherwise like `RelaxationClient.evaluate_many`."""
        return self._caller.outcomes(ask.elastic_tensors(options, model), to_crystals(crystals), timeout)

    def phonons(
        self,
        crystal: CrystalLike,
        options: PhononOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Phonons:
        """The vibrations of one crystal at Gamma. Raises what is wrong with it."""
        one = [to_crystal(crystal)]
        return result_of(next(self.phonons_many(one, options, model=model, timeout=timeout)))

    def phonons_many(
        self,
        crystals: Iterable[CrystalLike],
        options: PhononOptions | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[Phonons | Failed]:
        """One outcome per crystal, as each is done; otherwise like `RelaxationClient.evaluate_many`."""
        return self._caller.outcomes(ask.vibrations(options, model), to_crystals(crystals), timeout)

    def references(self) -> list[Reference]:
        """The references that the server scores against, the default first."""
        listed: list[Reference] = []
        page = ListReferencesRequest()
        while True:
            response = self._caller.look_up("ListReferences", page)
            listed += [reference_from(message) for message in response.references]
            if not response.next_page_token:
                return listed
            page.page_token = response.next_page_token

    def reference(self, name: str = "") -> ReferenceDescription:
        """Where a reference comes from and which elements it covers; without a name, the default."""
        response = self._caller.look_up("GetReference", GetReferenceRequest(name=name))
        return description_from(response.reference)

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._caller.close()
