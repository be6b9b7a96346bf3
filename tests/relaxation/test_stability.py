"""Hull distances and phase diagrams through the real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1.relaxation_pb2 import RelaxRequest
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceStub
from crystalmesh.stability.v1 import reference_pb2
from crystalmesh.stability.v1.hull_pb2 import PhaseInput, ScoreStabilityRequest, ScoreStabilityResponse
from crystalmesh.stability.v1.phase_diagram_pb2 import GetPhaseDiagramRequest
from crystalmesh.stability.v1.stability_service_pb2 import GetReferenceRequest, ListReferencesRequest
from crystalmesh.stability.v1.stability_service_pb2_grpc import StabilityServiceStub
from crystalmesh_common.crystal.protobuf import crystal_from_proto, crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.statuses import from_rpc_failure, from_status
from tests.conftest import AUTHORIZATION, ServiceProcess, iron, lone_atom, silicon, sodium_chloride


@pytest.fixture(scope="module")
def stub(relaxation: ServiceProcess) -> Iterator[StabilityServiceStub]:
    with grpc.insecure_channel(relaxation.address) as channel:
        yield StabilityServiceStub(channel)


def score(stub: StabilityServiceStub, *phases: PhaseInput, **fields: Any) -> list[ScoreStabilityResponse]:
    request = ScoreStabilityRequest(phases=phases, **{"reference": "salts", **fields})
    responses = list(stub.ScoreStability(request, metadata=AUTHORIZATION, timeout=120))
    return sorted(responses, key=lambda response: response.index)


def failure(stub: StabilityServiceStub, *phases: PhaseInput, **fields: Any) -> errors.CrystalMeshError:
    with pytest.raises(grpc.RpcError) as raised:
        score(stub, *phases, **fields)
    return from_rpc_failure(raised.value)


def phase(crystal: Crystal, **fields: Any) -> PhaseInput:
    return PhaseInput(crystal=CrystalInput(crystal=crystal_to_proto(crystal)), **fields)


def test_given_energies_are_placed_against_the_named_hull(stub: StabilityServiceStub) -> None:
    """Formula or crystal, formation or total energy: one distance, its products, and the hull's name."""
    found = score(
        stub,
        PhaseInput(id="formula", formula="Na2Cl2", formation_energy_ev_per_atom=-2.0),
        phase(sodium_chloride(), formation_energy_ev_per_atom=-2.0),
        phase(sodium_chloride("total"), total_energy_ev=2 * (-1.575 - 2.0)),
        energy_scheme="MP2020",
    )
    assert [response.crystal_id for response in found] == ["formula", "NaCl", "total"]
    for response in found:
        distance = response.hull_distance
        assert distance.energy_above_hull_ev_per_atom == pytest.approx(0.1, abs=1e-9)
        assert distance.formation_energy_ev_per_atom == pytest.approx(-2.0)
        assert distance.formula == "NaCl"
        (product,) = distance.decomposition
        assert (product.entry_id, product.formula, product.atom_fraction) == (
            "salt",
            "NaCl",
            pytest.approx(1),
        )
        assert distance.competing_entry_count == 2
        assert distance.reference.name == "salts"
        assert distance.reference.kind == reference_pb2.REFERENCE_KIND_MODEL
        assert distance.reference.entry_count == 3
        assert len(distance.reference.entries_sha256) == 64
        assert (distance.model, distance.self_consistent) == ("", False)
    assert [response.hull_distance.HasField("energy_ev_per_atom") for response in found] == [
        False,
        False,
        True,
    ]


def test_missing_energies_are_computed_by_the_references_potential(stub: StabilityServiceStub) -> None:
    """CHGNet gives the energy, the answer says so, and that it is self-consistent."""
    (response,) = score(stub, phase(sodium_chloride()))
    distance = response.hull_distance
    assert distance.energy_ev_per_atom == pytest.approx(-3.6, abs=0.1)
    assert distance.formation_energy_ev_per_atom == pytest.approx(distance.energy_ev_per_atom + 1.575)
    assert (distance.model, distance.self_consistent) == ("chgnet-0.3.0", True)
    assert not distance.HasField("relaxed_crystal")


def test_relaxing_first_lowers_the_distance_and_returns_the_crystal(stub: StabilityServiceStub) -> None:
    """A crystal off its minimum scores lower once relaxed, and comes back as it was scored."""
    stretched = replace(sodium_chloride(), cell=1.05 * sodium_chloride().cell)
    (as_is,) = score(stub, phase(stretched))
    (relaxed,) = score(stub, phase(stretched), relax_first=True)
    assert relaxed.hull_distance.relaxation_converged
    assert (
        relaxed.hull_distance.energy_above_hull_ev_per_atom
        < as_is.hull_distance.energy_above_hull_ev_per_atom - 0.01
    )
    cell = np.array(relaxed.hull_distance.relaxed_crystal.cell_angstrom).reshape(3, 3)
    assert abs(np.linalg.det(cell)) < abs(np.linalg.det(stretched.cell))


def test_what_was_just_relaxed_has_the_energy_that_it_ended_at(
    relaxation: ServiceProcess, stub: StabilityServiceStub
) -> None:
    """Which is the one that computing it anew gives."""
    with grpc.insecure_channel(relaxation.address) as channel:
        request = RelaxRequest(crystals=[CrystalInput(crystal=crystal_to_proto(sodium_chloride()))])
        (response,) = RelaxationServiceStub(channel).Relax(request, metadata=AUTHORIZATION, timeout=120)
    relaxed = crystal_from_proto(response.relaxation.crystal)
    moved = replace(relaxed, frac_coords=relaxed.frac_coords + 1.0)  # the same in other numbers
    known, computed = score(stub, phase(relaxed), phase(replace(moved, id="moved")))
    assert known.hull_distance.energy_ev_per_atom == response.relaxation.final.energy_ev / 2
    assert known.hull_distance.energy_ev_per_atom == pytest.approx(
        computed.hull_distance.energy_ev_per_atom, abs=1e-5
    )
    assert (known.hull_distance.model, known.hull_distance.self_consistent) == ("chgnet-0.3.0", True)


def test_an_excluded_entry_is_no_competitor(stub: StabilityServiceStub) -> None:
    """Without its own entry a phase is scored against the others; below them it is negative."""
    own = PhaseInput(
        formula="NaCl", formation_energy_ev_per_atom=-2.1, excluded_entry_ids=["salt", "unknown"]
    )
    (response,) = score(stub, own, energy_scheme="MP2020")
    distance = response.hull_distance
    assert distance.energy_above_hull_ev_per_atom == pytest.approx(-2.1 + 0.6)
    assert {product.entry_id for product in distance.decomposition} == {"odd", "element-Na"}


def test_what_is_wrong_with_a_phase_is_its_own_outcome(stub: StabilityServiceStub) -> None:
    """A missing element, an isolated atom, no structure, no formula, NaN: each precise, the others scored."""
    found = score(
        stub,
        phase(iron()),
        PhaseInput(id="bare", formula="NaCl"),
        PhaseInput(id="gibberish", formula="N@Cl", formation_energy_ev_per_atom=-1.0),
        PhaseInput(id="nan", formula="NaCl", formation_energy_ev_per_atom=float("nan")),
        PhaseInput(id="nothing", formation_energy_ev_per_atom=-1.0),
        PhaseInput(id="iron", formula="FeCl2", formation_energy_ev_per_atom=-1.0),
        PhaseInput(id="empty", crystal=CrystalInput()),
        phase(silicon()),
        phase(replace(lone_atom("alone"), numbers=np.array([11]))),
        energy_scheme="MP2020",
    )
    kinds = {
        response.crystal_id: type(from_status(response.error))
        for response in found
        if response.WhichOneof("outcome") == "error"
    }
    assert kinds == {
        "Fe": errors.ReferenceIncompleteError,
        "bare": errors.InvalidFieldError,
        "gibberish": errors.InvalidFieldError,
        "nan": errors.InvalidFieldError,
        "nothing": errors.InvalidFieldError,
        "iron": errors.ReferenceIncompleteError,
        "empty": errors.InvalidFieldError,
        "alone": errors.IsolatedAtomError,
    }
    assert found[7].hull_distance.formula == "Si"


SALT = PhaseInput(formula="NaCl", formation_energy_ev_per_atom=-2.0)


@pytest.mark.parametrize(
    ("phases", "fields", "error"),
    [
        ([], {}, errors.EmptyBatchError),
        ([PhaseInput(id="a", formula="NaCl"), PhaseInput(id="a", formula="Si")], {}, errors.DuplicateIdError),
        ([SALT], {}, errors.InvalidFieldError),  # of which scheme?
        ([SALT], {"energy_scheme": "PBE"}, errors.MixedEnergySchemesError),
        ([SALT], {"reference": "peppers", "energy_scheme": "PBE"}, errors.ResourceNotFoundError),
        ([phase(silicon())], {"model": "oracle"}, errors.ModelNotFoundError),
        ([phase(silicon())], {"reference": "oxides"}, errors.MixedEnergySchemesError),
    ],
)
def test_a_wrong_request_fails_whole(
    stub: StabilityServiceStub,
    phases: list[PhaseInput],
    fields: dict[str, str],
    error: type[errors.CrystalMeshError],
) -> None:
    """Each mistake in the request as a whole is one typed error; schemes are never mixed."""
    assert type(failure(stub, *phases, **fields)) is error


def test_a_total_energy_without_elements_to_count_from_is_told(stub: StabilityServiceStub) -> None:
    """A reference that knows formation energies only cannot take a total energy."""
    (response,) = score(
        stub, PhaseInput(formula="MgO", total_energy_ev=-12.0), reference="oxides", energy_scheme="PBE"
    )
    assert type(from_status(response.error)) is errors.ReferenceIncompleteError


def test_a_phase_diagram_has_entries_and_facets(stub: StabilityServiceStub) -> None:
    """All entries by rising distance, corners at zero, and facets that cover the system."""
    request = GetPhaseDiagramRequest(chemical_system="Na-Cl", reference="salts")
    diagram = stub.GetPhaseDiagram(request, metadata=AUTHORIZATION, timeout=60).phase_diagram
    assert diagram.chemical_system == "Cl-Na"
    found = {entry.entry_id: entry.energy_above_hull_ev_per_atom for entry in diagram.entries}
    assert found == {"element-Cl": 0, "element-Na": 0, "salt": 0, "odd": pytest.approx(0.15)}
    assert [entry.entry_id for entry in diagram.entries][-1] == "odd"
    corners = [{diagram.entries[n].entry_id for n in facet.entry_indices} for facet in diagram.facets]
    assert sorted(map(sorted, corners)) == [["element-Cl", "salt"], ["element-Na", "salt"]]
    request.max_energy_above_hull_ev_per_atom = 0.0
    diagram = stub.GetPhaseDiagram(request, metadata=AUTHORIZATION, timeout=60).phase_diagram
    assert {entry.entry_id for entry in diagram.entries} == {"element-Cl", "element-Na", "salt"}


@pytest.mark.parametrize(
    ("system", "limit", "error"),
    [
        ("", None, errors.InvalidFieldError),
        ("Na-Xx", None, errors.InvalidFieldError),
        ("Na-Na", None, errors.InvalidFieldError),
        ("NaCl", None, errors.InvalidFieldError),
        ("H-He-Li-Be-B-C-N-O-F-Ne-Na", None, errors.InvalidFieldError),
        ("Na-Cl", -0.1, errors.InvalidFieldError),
        ("Na-Fe", None, errors.ReferenceIncompleteError),
    ],
)
def test_a_system_that_has_no_diagram(
    stub: StabilityServiceStub, system: str, limit: float | None, error: type[errors.CrystalMeshError]
) -> None:
    """What is no chemical system, or not one of the reference, is a typed error."""
    request = GetPhaseDiagramRequest(
        chemical_system=system, reference="salts", max_energy_above_hull_ev_per_atom=limit
    )
    with pytest.raises(grpc.RpcError) as raised:
        stub.GetPhaseDiagram(request, metadata=AUTHORIZATION, timeout=60)
    assert type(from_rpc_failure(raised.value)) is error


def test_references_are_listed_page_by_page(stub: StabilityServiceStub) -> None:
    """The default first; a page token leads on, and one from elsewhere is refused."""
    everything = stub.ListReferences(ListReferencesRequest(), metadata=AUTHORIZATION, timeout=60)
    names = [reference.name for reference in everything.references]
    assert names[0] == "mp20-chgnet-0.3.0"
    assert {"salts", "oxides"} <= set(names)
    assert [reference.is_default for reference in everything.references] == [True] + [False] * (
        len(names) - 1
    )
    token, paged = "", []
    while True:
        request = ListReferencesRequest(page_size=1, page_token=token)
        page = stub.ListReferences(request, metadata=AUTHORIZATION, timeout=60)
        paged += [reference.name for reference in page.references]
        token = page.next_page_token
        if not token:
            break
    assert paged == names
    for bad in ("nonsense", "b3RoZXI6MQ=="):
        with pytest.raises(grpc.RpcError) as raised:
            stub.ListReferences(ListReferencesRequest(page_token=bad), metadata=AUTHORIZATION, timeout=60)
        assert type(from_rpc_failure(raised.value)) is errors.InvalidPageTokenError


def test_a_reference_says_where_it_comes_from(stub: StabilityServiceStub) -> None:
    """Attribution, elements, and the energies that total energies are counted from."""
    found = stub.GetReference(GetReferenceRequest(name="salts"), metadata=AUTHORIZATION, timeout=60).reference
    assert found.attribution == "the tests"
    assert list(found.atomic_numbers) == [11, 14, 17]
    own = {
        e.atomic_number: e.energy_ev_per_atom for e in found.elemental_energies if e.model == "chgnet-0.3.0"
    }
    assert own == {11: -1.31, 14: -5.42, 17: -1.84}
    default = stub.GetReference(GetReferenceRequest(), metadata=AUTHORIZATION, timeout=60).reference
    assert default.summary.is_default
    assert "Materials Project" in default.attribution
    assert default.HasField("update_time")
    with pytest.raises(grpc.RpcError) as raised:
        stub.GetReference(GetReferenceRequest(name="none"), metadata=AUTHORIZATION, timeout=60)
    assert type(from_rpc_failure(raised.value)) is errors.ResourceNotFoundError
