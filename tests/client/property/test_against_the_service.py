"""Both clients and the real service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crystalmesh_client import AsyncMesh, Credentials, Failed, Mesh, Prediction
from crystalmesh_client.prediction_streams import CRYSTALS_UNDER_WAY
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from tests.client.property.conftest import ARGUMENTS
from tests.conftest import (
    ServiceProcess,
    StartService,
    block,
    copies,
    iron,
    lone_atom,
    silicon,
    sodium_chloride,
)
from tests.property.crystals import rock_salt

NOBODY = Credentials(token=None)


async def test_one_crystal_has_one_prediction(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """All properties that there are, each with interval, unit and model; both clients say the same."""
    prediction = mesh.property.predict(sodium_chloride())
    assert set(prediction.values) == {"formation_energy_ev_per_atom", "band_gap_ev", "bulk_modulus_gpa"}
    gap = prediction["band_gap_ev"]
    assert (gap.unit, gap.model, gap.source.kind) == ("eV", "moduli", "prediction")
    assert gap.lower is not None
    assert gap.upper is not None
    assert 0 <= gap.lower <= gap.value < gap.upper
    assert not prediction.out_of_domain
    again = await async_mesh.property.predict(sodium_chloride())
    assert {name: value.value for name, value in again.values.items()} == pytest.approx(
        {name: value.value for name, value in prediction.values.items()}, rel=1e-4
    )


def test_what_is_asked_for_is_answered_in_that_order(mesh: Mesh) -> None:
    """Properties and model are the caller's choice."""
    asked = mesh.property.predict(
        silicon(), ["band_gap_ev", "formation_energy_ev_per_atom"], model="energies"
    )
    assert list(asked.values) == ["band_gap_ev", "formation_energy_ev_per_atom"]
    assert {value.model for value in asked.values.values()} == {"energies"}


def test_what_is_unlike_the_training_data_says_so(mesh: Mesh) -> None:
    """An element that no model saw is named."""
    prediction = mesh.property.predict(iron(), ["band_gap_ev"])
    assert prediction.out_of_domain
    warning = next(each for each in prediction.domain_warnings if each.kind == "unseen_element")
    assert (warning.elements, warning.model) == (("Fe",), "moduli")


def test_what_is_wrong_is_raised(mesh: Mesh) -> None:
    """A bad crystal, a model that is not there and a property that nothing predicts have their reasons."""
    twins = replace(silicon(), frac_coords=np.zeros((2, 3)))
    with pytest.raises(errors.OverlappingAtomsError):
        mesh.property.predict(twins)
    with pytest.raises(errors.ModelNotFoundError):
        mesh.property.predict(silicon(), model="no-such-model")
    with pytest.raises(errors.UnsupportedQuantityError):
        mesh.property.predict(silicon(), ["shear_modulus_gpa"])
    with pytest.raises(errors.InvalidFieldError, match="is no property"):
        mesh.property.predict(silicon(), ["gap"])  # type: ignore[list-item]
    with pytest.raises(errors.DuplicateIdError):
        mesh.property.predict_many([silicon(), silicon()])


def given() -> list[Crystal]:
    twins = replace(silicon("twins"), frac_coords=np.zeros((2, 3)))
    return [*(rock_salt(number) for number in range(300)), twins, block("huge", repeat=7)]


def check(outcomes: list[Prediction | Failed]) -> None:
    failed = {outcome.id: outcome.error.reason for outcome in outcomes if isinstance(outcome, Failed)}
    assert failed == {"twins": "OVERLAPPING_ATOMS", "huge": "TOO_MANY_ATOMS"}
    assert len({outcome.id for outcome in outcomes}) == len(outcomes) == 302


async def test_many_crystals_have_an_outcome_each(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """More than fit into one call; bad ones fail alone."""
    check(list(mesh.property.predict_many(given())))
    check([outcome async for outcome in async_mesh.property.predict_many(given())])
    assert list(mesh.property.predict_many([])) == []


async def test_a_stream_says_what_a_batch_says(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """A generator in, outcomes out, by their places; the same numbers as in calls, from both clients."""
    wanted = {
        outcome.id: outcome["band_gap_ev"].value
        for outcome in mesh.property.predict_many(given(), ["band_gap_ev"])
        if isinstance(outcome, Prediction)
    }

    async def flow() -> AsyncIterator[Crystal]:
        for crystal in given():
            yield crystal

    streamed = list(mesh.property.predict_stream(iter(given()), ["band_gap_ev"]))
    streamed_too = [each async for each in async_mesh.property.predict_stream(flow(), ["band_gap_ev"])]
    for outcomes in (streamed, streamed_too):
        check(outcomes)
        assert sorted(outcome.index or 0 for outcome in outcomes) == list(range(302))
        assert all(outcome.id == given()[outcome.index or 0].id for outcome in outcomes[:50])
        found = {each.id: each["band_gap_ev"].value for each in outcomes if isinstance(each, Prediction)}
        assert found == pytest.approx(wanted, abs=1e-4)


async def test_a_stream_is_refused_whole(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """A model that is not there is NOT_FOUND for both clients, however much is on its way."""
    with pytest.raises(errors.ModelNotFoundError):
        list(mesh.property.predict_stream(copies(silicon(), 500), model="no-such-model"))
    with pytest.raises(errors.ModelNotFoundError):
        async for _ in async_mesh.property.predict_stream(copies(silicon(), 500), model="no-such-model"):
            pass


def test_a_stream_holds_no_more_than_it_needs(mesh: Mesh) -> None:
    """Crystals are read a bounded number ahead of outcomes, and not at all once the loop is left."""
    read = 0

    def endless() -> Iterator[Crystal]:
        nonlocal read
        while True:
            read += 1
            yield sodium_chloride()

    stream = mesh.property.predict_stream(endless(), ["band_gap_ev"])
    for done in range(1, 200):
        next(stream)
        assert read <= done + CRYSTALS_UNDER_WAY
    before = read
    stream.close()  # type: ignore[attr-defined]
    assert read == before


async def test_a_lone_atom_does_not_stop_a_stream(async_mesh: AsyncMesh) -> None:
    """Whatever becomes of it, it is one outcome, as that of a crystal beside it."""
    crystals = [lone_atom(), sodium_chloride()]
    outcomes = {outcome.id: outcome async for outcome in async_mesh.property.predict_stream(crystals)}
    assert isinstance(outcomes["NaCl"], Prediction)
    assert outcomes.keys() == {"lone", "NaCl"}


async def test_models_have_cards(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """What each predicts, learned from and is good at; one that could not be loaded is not ready."""
    cards = {card.name: card for card in mesh.property.models()}
    moduli = cards["moduli"]
    assert (moduli.ready, moduli.is_default, moduli.device) == (True, True, "cpu")
    assert moduli.properties == ("bulk_modulus_gpa", "band_gap_ev")
    assert moduli.parameter_count > 100
    assert {metric.name for metric in moduli.metrics} >= {"mae", "coverage95"}
    assert moduli.training_data[0].name == "matbench_mp_gap"
    assert "matbench_mp_gap" in moduli._repr_html_()
    assert not cards["damaged"].ready
    assert [card.name for card in await async_mesh.property.models()] == list(cards)


def started(start_service: StartService, models: Path, *arguments: str) -> ServiceProcess:
    server = start_service(*ARGUMENTS, "--models", str(models), *arguments, service="property")
    server.wait_serving()
    return server


def successor(killed: ServiceProcess, start_service: StartService, models: Path) -> ServiceProcess:
    """Kill a server, and start another one in its place, as a supervisor does."""
    port = killed.address.rsplit(":", 1)[1]
    killed.kill()
    return started(start_service, models, "--port", port)


@pytest.mark.timeout(400)  # it starts three servers
async def test_a_server_that_dies_and_comes_back_costs_a_stream_nothing(
    start_service: StartService, models: Path
) -> None:
    """Killed in mid-stream and back on its port, it gets what is missing again, out of a generator."""
    server = started(start_service, models)
    crystals = copies(block(repeat=2), 150)
    with Mesh(server.address, credentials=NOBODY) as mesh:
        stream = mesh.property.predict_stream(iter(crystals))
        outcomes = [next(stream)]
        server = successor(server, start_service, models)
        outcomes += stream
    assert sorted(outcome.index or 0 for outcome in outcomes) == list(range(150))
    assert all(isinstance(outcome, Prediction) for outcome in outcomes)
    async with AsyncMesh(server.address, credentials=NOBODY) as async_mesh:
        async_stream = async_mesh.property.predict_stream(iter(crystals))
        outcomes = [await anext(async_stream)]
        server = successor(server, start_service, models)
        outcomes += [outcome async for outcome in async_stream]
    assert sorted(outcome.index or 0 for outcome in outcomes) == list(range(150))
    assert server.metric("crystalmesh_requests_total", method="PropertyService/PredictStream", code="OK") == 1
