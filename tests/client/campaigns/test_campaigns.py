"""`mesh.campaigns`, synchronous and asynchronous."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent as EventMessage
from crystalmesh.crystal.v1 import property_pb2
from crystalmesh_client import AsyncMesh, Mesh, Target
from crystalmesh_client.campaign_events import (
    CampaignEvent,
    CampaignFinished,
    CandidateHit,
    RoundFinished,
    campaign_event_from,
)
from crystalmesh_common.runtime import errors
from tests.client.campaigns import story
from tests.client.campaigns.hosting import Laboratory, hosted, served
from tests.conftest import until

SALTS = Target(elements="Na,Cl", band_gap_ev=(2, 6))


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory()


@pytest.fixture
def mesh(laboratory: Laboratory) -> Iterator[Mesh]:
    with served(laboratory) as address, Mesh(address) as opened:
        yield opened


def test_a_design_is_a_campaign_with_its_candidates(mesh: Mesh) -> None:
    """Created, watched to its end, and brought with what came through all stages, hits first."""
    results = mesh.campaigns.design(SALTS, hits=3)
    campaign = results.campaign
    assert (campaign.state, campaign.stop_reason, campaign.has_ended) == ("finished", "no_progress", True)
    assert campaign.standing == "finished: too many rounds in a row improved nothing"
    assert (campaign.hits, campaign.spec.hits, campaign.progress.rounds) == (1, 3, 2)
    assert campaign.spec.target == SALTS
    assert [each.id for each in results] == [story.HIT, story.RANKED]
    assert [each.id for each in results.hits] == [each.id for each in results.pareto_front] == [story.HIT]


def test_a_candidate_brings_its_evidence(mesh: Mesh) -> None:
    """Typed, and as the message; the crystal is the relaxed one."""
    campaign = mesh.campaigns.create(SALTS)
    hit = mesh.campaigns.candidate(campaign.id, story.HIT)
    assert (hit.formula, hit.chemical_system, hit.is_hit, hit.rank) == ("NaCl", "Cl-Na", True, 1)
    assert hit.energy_above_hull_ev_per_atom == pytest.approx(0.012)
    assert hit.hull_distance is not None
    assert hit.hull_distance.reference.name == story.REFERENCE
    assert hit.relaxation is not None
    assert hit.relaxation.converged
    assert hit.crystal is not None
    assert hit.crystal.id == story.HIT
    assert hit.properties["band_gap_ev"].value == pytest.approx(5.1)
    assert hit.known("band_gap_ev") == "5.10 ± 0.39"
    assert (str(hit.starting_material), hit.models[0].version) == ("mp-22865 (KCl)", "0.4.2")
    assert hit.message.id == story.HIT
    assert len(hit.to_pymatgen() or ()) == len(hit.to_ase() or ()) == 2
    dropped = mesh.campaigns.candidate(campaign.id, story.UNREADABLE)
    assert (dropped.crystal, dropped.cif, dropped.formula) == (None, "", "")
    assert str(dropped.rejection) == "parse failure in generate: a cell has three lengths"


def test_candidates_are_listed_by_state(mesh: Mesh, laboratory: Laboratory) -> None:
    """The ranked ones unless others are asked for, over pages of any size."""
    laboratory.page = 1
    campaign = mesh.campaigns.create(SALTS)
    ids = [each.id for each in mesh.campaigns.candidates(campaign.id)]
    assert ids == [story.HIT, story.RANKED]
    front = mesh.campaigns.candidates(campaign.id, pareto_front_only=True)
    assert [each.id for each in front] == [story.HIT]
    rejected = mesh.campaigns.candidates(campaign.id, states=["rejected"])
    assert [each.id for each in rejected] == [story.DROPPED, story.UNREADABLE]
    with pytest.raises(errors.InvalidFieldError, match="no state of a candidate"):
        list(mesh.campaigns.candidates(campaign.id, states=["lost"]))  # type: ignore[list-item]


def test_campaigns_are_listed_newest_first(mesh: Mesh, laboratory: Laboratory) -> None:
    """All pages of them, or those in a state."""
    laboratory.page = 2
    made = [mesh.campaigns.create(SALTS, name=f"salts {number}") for number in range(5)]
    assert [each.id for each in mesh.campaigns.list()] == [each.id for each in reversed(made)]
    mesh.campaigns.cancel(made[1].id)
    (cancelled,) = mesh.campaigns.list(states=["cancelled"])
    assert (cancelled.id, cancelled.standing) == (made[1].id, "cancelled")
    with pytest.raises(errors.InvalidFieldError, match="no state of a campaign"):
        list(mesh.campaigns.list(states=["lost"]))  # type: ignore[list-item]


def test_a_request_id_makes_one_campaign(mesh: Mesh) -> None:
    """However often it is sent; without one each call makes its own."""
    first = mesh.campaigns.create(SALTS, request_id="mine")
    assert mesh.campaigns.create(SALTS, request_id="mine").id == first.id
    assert mesh.campaigns.create(SALTS).id != first.id


def test_a_campaign_that_runs_cannot_be_deleted(mesh: Mesh) -> None:
    """Cancelled, it can; then there is none of its id."""
    campaign = mesh.campaigns.create(SALTS)
    with pytest.raises(errors.WrongStateError):
        mesh.campaigns.delete(campaign.id)
    assert mesh.campaigns.cancel(campaign.id).state == "cancelled"
    mesh.campaigns.delete(campaign.id)
    with pytest.raises(errors.ResourceNotFoundError):
        mesh.campaigns.get(campaign.id)


def test_settings_travel(mesh: Mesh, laboratory: Laboratory) -> None:
    """Each in its field; what is left out stays unset."""
    campaign = mesh.campaigns.create(
        SALTS,
        name="salt",
        hits=2,
        max_candidates=0,
        max_seconds=90.5,
        max_evaluations=1000,
        max_planner_tokens=5,
        max_rounds_without_progress=4,
        catalog="mine",
        reference="hull",
        generators="ionic_substitution",
        planner="llm",
        generation_model="writer",
        property_model="gap",
        potential="chgnet",
        seed=2**63,
        skip_retrieval=True,
        skip_transition=True,
    )
    mesh.campaigns.create({"formula": "NaCl"})
    spec, bare = laboratory.specs.values()
    assert (spec.display_name, spec.hits_wanted, spec.max_rounds_without_progress) == ("salt", 2, 4)
    assert (spec.budget.HasField("max_candidates"), spec.budget.max_candidates) == (True, 0)
    assert (spec.budget.max_wall_time.ToMilliseconds(), spec.budget.max_evaluations) == (90_500, 1000)
    assert spec.budget.max_planner_tokens == 5
    assert (spec.catalog, spec.reference, spec.planner, spec.seed) == ("mine", "hull", "llm", 2**63)
    assert list(spec.generators) == [2]
    assert (spec.models.generation, spec.models.property, spec.models.potential) == (
        "writer",
        "gap",
        "chgnet",
    )
    assert (spec.skip_retrieval, spec.skip_transition) == (True, True)
    assert [each.name for each, _ in bare.ListFields()] == ["target"]
    typed = campaign.spec
    assert (typed.budget.max_seconds, typed.generators, typed.potential) == (
        90.5,
        ("ionic_substitution",),
        "chgnet",
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"hits": 0}, "hits is a whole number"),
        ({"hits": 1.5}, "hits is a whole number"),
        ({"max_candidates": -1}, "max_candidates"),
        ({"max_seconds": float("nan")}, "no time"),
        ({"max_seconds": -1.0}, "no time"),
        ({"max_rounds_without_progress": 1001}, "1,000"),
        ({"generators": ["magic"]}, "'magic'"),
        ({"seed": -1}, "seed"),
        ({"name": "x" * 201}, "200 characters"),
        ({"catalog": "\udcff"}, "UTF-8"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(mesh: Mesh, settings: Any, told: str) -> None:
    """Before anything is sent."""
    with pytest.raises(errors.InvalidFieldError, match=told):
        mesh.campaigns.create(SALTS, **settings)


def test_plain_words_are_read(mesh: Mesh, laboratory: Laboratory) -> None:
    """Elements and ranges become parts of the target, and the words go along."""
    text = "a lithium oxide with a gap of 2-4 eV that is stable"
    target = mesh.campaigns.create(text).spec.target
    assert (target.elements, target.band_gap_ev, target.free_text) == (("Li", "O"), (2, 4), text)
    assert target.energy_above_hull_ev_per_atom is not None
    assert mesh.campaigns.create("a cubic nitride without a gap").spec.target.band_gap_ev == (0, 0.1)
    near = mesh.campaigns.create("an oxide with a bulk modulus of 200 GPa").spec.target
    assert near.bulk_modulus_gpa == pytest.approx((180, 220))
    hull = mesh.campaigns.create("an oxide, energy above hull of 0.05").spec.target
    assert hull == Target(
        elements="O",
        energy_above_hull_ev_per_atom=(None, 0.05),
        free_text="an oxide, energy above hull of 0.05",
    )
    with pytest.raises(errors.InvalidFieldError, match="says nothing"):
        mesh.campaigns.create("something nice")
    with pytest.raises(errors.InvalidFieldError, match="4,000"):
        mesh.campaigns.create("x" * 4001)
    assert len(laboratory.specs) == 4


def test_refusals_of_the_server_are_raised(mesh: Mesh, laboratory: Laboratory) -> None:
    """As the error that it raised."""
    laboratory.refusal = errors.ContradictoryTargetError("Li is required and forbidden")
    with pytest.raises(errors.ContradictoryTargetError, match="required and forbidden"):
        mesh.campaigns.design(Target(elements="Li", without_elements="Li"))


def test_a_watch_tells_all_events_in_order(mesh: Mesh) -> None:
    """From the first, or after one; each has its kind, words, and a form that JSON holds."""
    campaign = mesh.campaigns.create(SALTS)
    events = list(mesh.campaigns.watch(campaign.id))
    assert [each.sequence for each in events] == list(range(1, len(events) + 1))
    assert (events[0].kind, events[-1].kind) == ("created", "finished")
    assert all(str(each) and json.dumps(each.to_dict()) and each._repr_html_() for each in events)
    (hit,) = (each for each in events if isinstance(each, CandidateHit))
    assert str(hit) == "hit 1: NaCl (c-hit), gap eV 5.10 ± 0.39, above hull eV/atom 0.012"
    rounds = [each for each in events if isinstance(each, RoundFinished)]
    assert [each.improved for each in rounds] == [True, False]
    assert rounds[1].progress.stages[3].yield_fraction == pytest.approx(2 / 3)
    rest = list(mesh.campaigns.watch(campaign.id, after_sequence=events[-2].sequence))
    assert [each.kind for each in rest] == ["finished"]
    assert list(mesh.campaigns.watch(campaign.id, after_sequence=events[-1].sequence)) == []
    with pytest.raises(errors.InvalidFieldError, match="beyond"):
        list(mesh.campaigns.watch(campaign.id, after_sequence=1000))


def test_a_watch_survives_a_server_that_goes_away(mesh: Mesh, laboratory: Laboratory) -> None:
    """Stopping, busy, cut by a proxy: it goes on after the last event seen, and tells each once."""
    laboratory.failures = [
        errors.ShuttingDownError("stopping"),
        errors.DatabaseBusyError("locked", retry_after_seconds=0.01),
    ]
    campaign = mesh.campaigns.create(SALTS)
    events = list(mesh.campaigns.watch(campaign.id))
    assert [each.sequence for each in events] == list(range(1, len(events) + 1))
    assert laboratory.watched_after == [0, 3, 6]
    laboratory.watched_after.clear()
    laboratory.cut = True
    again = mesh.campaigns.create(SALTS)
    assert isinstance(list(mesh.campaigns.watch(again.id))[-1], CampaignFinished)
    assert laboratory.watched_after == [0, 3]


def test_patience_is_bounded(mesh: Mesh, laboratory: Laboratory) -> None:
    """A server that stays away ends a watch with its error, and a wrong request at once."""
    laboratory.failures = [errors.ShuttingDownError("stopping", retry_after_seconds=0.01)] * 5000
    laboratory.after = 0
    campaign = mesh.campaigns.create(SALTS)
    with pytest.raises(errors.ShuttingDownError):
        list(mesh.campaigns.watch(campaign.id, patience=0.3))
    with pytest.raises(errors.ResourceNotFoundError):
        list(mesh.campaigns.watch("nowhere"))


def test_closing_a_watch_ends_the_call_alone(mesh: Mesh, laboratory: Laboratory) -> None:
    """The campaign stays as it is."""
    laboratory.waits = True
    campaign = mesh.campaigns.create(SALTS)
    watch = mesh.campaigns.watch(campaign.id)
    next(watch)
    assert laboratory.ended == 0
    del watch
    until(lambda: laboratory.ended == 1, "the end of the call")
    assert mesh.campaigns.get(campaign.id).state == "running"


async def test_the_async_client_does_the_same() -> None:
    """Every method, on the event loop of the server."""
    laboratory = Laboratory(page=1, failures=[errors.ShuttingDownError("stopping")])
    async with hosted(laboratory) as address, AsyncMesh(address) as mesh:
        results = await mesh.campaigns.design("sodium chloride with a gap of 2-6 eV", seed=7)
        assert [each.id for each in results] == [story.HIT, story.RANKED]
        assert laboratory.watched_after == [0, 3]
        assert results.campaign.spec.seed == 7
        (campaign,) = [each async for each in mesh.campaigns.list()]
        assert (await mesh.campaigns.get(campaign.id)).state == "finished"
        events = [each async for each in mesh.campaigns.watch(campaign.id, after_sequence=2)]
        assert events[0].sequence == 3
        assert (await mesh.campaigns.candidate(campaign.id, story.HIT)).is_hit
        assert (await mesh.campaigns.cancel(campaign.id)).state == "finished"
        await mesh.campaigns.delete(campaign.id)
        with pytest.raises(errors.ResourceNotFoundError):
            await mesh.campaigns.get(campaign.id)


async def test_a_watch_goes_on_when_the_server_is_back() -> None:
    """A server that stops, and another one on its port a while later."""
    laboratory = Laboratory(waits=True, after=5)
    async with hosted(laboratory) as address:
        mesh = AsyncMesh(address)
        campaign = await mesh.campaigns.create(SALTS)
        watch = mesh.campaigns.watch(campaign.id)
        seen = [await anext(watch) for _ in range(5)]
    laboratory.waits = False
    async with hosted(laboratory, port=int(address.rsplit(":", 1)[1])), mesh:
        seen += [each async for each in watch]
    assert [each.sequence for each in seen] == list(range(1, len(laboratory.script) + 2))
    assert laboratory.watched_after == [0, 5]


def test_results_show_in_a_notebook_and_as_json(mesh: Mesh) -> None:
    """All of them, with every number that JSON can hold."""
    results = mesh.campaigns.design(SALTS)
    html = results._repr_html_()
    assert "c-hit" in html
    assert "<svg" in results[0]._repr_html_()
    form = json.loads(json.dumps(results.to_dict(), allow_nan=False))
    assert form["campaign"]["spec"]["target"] == {"elements": ["Na", "Cl"], "band_gap_ev": [2, 6]}
    assert form["candidates"][0]["hull_distance"]["reference"]["name"] == story.REFERENCE
    assert form["candidates"][0]["relaxation"]["converged"] is True
    assert form["candidates"][0]["generated"]["origin"]["seed"] == 1000
    assert form["candidates"][0]["cif"].startswith("data_")
    assert form["campaign"]["progress"]["stages"][1]["stage"] == "generate"


def test_what_this_client_does_not_know_passes() -> None:
    """An event of a later version, and numbers of properties and states that came later."""
    bare = campaign_event_from(EventMessage(campaign_id="c", sequence=4))
    assert (type(bare), bare.kind) == (CampaignEvent, "unknown")
    message = story.ranked_candidate(story.HIT)
    message.properties.append(
        property_pb2.PropertyValue.FromString(b"\x08c\x11\x00\x00\x00\x00\x00\x00\xf0?")
    )
    event = EventMessage(sequence=1)
    event.candidate_hit.candidate.CopyFrom(message)
    known = campaign_event_from(event)
    assert isinstance(known, CandidateHit)
    assert known.candidate.properties["property_99"].value == 1
