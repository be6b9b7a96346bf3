from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1 import prediction_pb2
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    DeadlineExceededError,
    DuplicateIdError,
    EmptyBatchError,
    InvalidFieldError,
    ModelNotFoundError,
    QueueFullError,
    TooManyCrystalsError,
    UnknownEnumValueError,
    UnsupportedQuantityError,
)
from tests.conftest import ServiceProcess, block, copies, iron, silicon, sodium_chloride, until
from tests.property.crystals import random_crystal
from tests.property.server.asking import (
    BULK,
    DENSITY,
    ENERGY,
    GAP,
    ROCK_SALT,
    SHEAR,
    failure,
    numbers,
    predict,
    reason_of,
    request_of,
    stream_of,
    stub_of,
)


def test_values_come_in_the_order_asked_for(server: ServiceProcess) -> None:
    """Each asked property once, in that order, with unit, uncertainty, model and version."""
    for asked in ([GAP, BULK, ENERGY], [ENERGY, GAP]):
        outcome = predict(server, sodium_chloride(), properties=asked)["NaCl"]
        assert [value.property for value in outcome.prediction.values] == asked
    energy, gap = outcome.prediction.values
    assert (energy.unit, gap.unit) == ("eV/atom", "eV")
    assert (energy.source.name, gap.source.name) == ("energies", "moduli")
    assert energy.source.kind == property_pb2.SOURCE_KIND_PREDICTION
    assert len(energy.source.version) == 12
    assert energy.uncertainty > 0


def test_nothing_asked_for_is_everything(server: ServiceProcess) -> None:
    """Without options every property that any model gives is predicted, and each by the better model."""
    values = predict(server, sodium_chloride())["NaCl"].prediction.values
    assert {(value.property, value.source.name) for value in values} == {
        (ENERGY, "energies"),
        (GAP, "moduli"),
        (BULK, "moduli"),
    }


def test_a_named_model_gives_all_that_it_has(server: ServiceProcess) -> None:
    """With a model and no properties, its own and no other's."""
    values = predict(server, sodium_chloride(), model="energies")["NaCl"].prediction.values
    assert [(value.property, value.source.name) for value in values] == [
        (ENERGY, "energies"),
        (GAP, "energies"),
    ]


def test_batched_equals_single(server: ServiceProcess) -> None:
    """What a crystal is predicted with does not change its numbers, whichever batch or worker it meets."""
    crystals = [random_crystal(seed, atoms=1 + seed % 9, id=f"random-{seed}") for seed in range(40)]
    together = predict(server, *crystals)
    for crystal in crystals[::4]:
        alone = predict(server, crystal)[crystal.id].prediction
        np.testing.assert_allclose(
            numbers(together[crystal.id].prediction), numbers(alone), rtol=1e-4, atol=1e-4
        )
    everything = np.array([numbers(together[crystal.id].prediction) for crystal in crystals])
    assert np.ptp(everything[:, 0]) > 0.01


def test_one_bad_crystal_fails_alone(server: ServiceProcess) -> None:
    """Among good ones, each bad crystal has its own typed error and its own index."""
    nan = Crystal(np.eye(3) * np.nan, np.array([11]), np.zeros((1, 3)), "nan")
    clash = Crystal(4 * np.eye(3), np.array([11, 17]), np.zeros((2, 3)), "clash")
    large = Crystal(60 * np.eye(3), np.full(501, 11), np.random.default_rng(0).random((501, 3)), id="large")
    given: list[Crystal | CrystalInput] = [
        sodium_chloride(),
        nan,
        CrystalInput(id="text", cif_text="this is no CIF"),
        silicon(),
        clash,
        CrystalInput(id="nothing"),
        large,
        iron(),
    ]
    outcomes = predict(server, *given)
    assert [outcomes[name].index for name in ("NaCl", "nan", "text", "Si")] == [0, 1, 2, 3]
    good = {name for name, each in outcomes.items() if each.WhichOneof("outcome") == "prediction"}
    assert good == {"NaCl", "Si", "Fe"}
    bad = {name: reason_of(each.error) for name, each in outcomes.items() if name not in good}
    assert bad == {
        "nan": "INVALID_CRYSTAL",
        "text": "UNREADABLE_CRYSTAL",
        "clash": "OVERLAPPING_ATOMS",
        "nothing": "INVALID_FIELD",
        "large": "TOO_MANY_ATOMS",
    }


def test_text_is_read_on_the_server(server: ServiceProcess) -> None:
    """A POSCAR of rock salt gets the numbers of the crystal itself."""
    outcomes = predict(server, sodium_chloride(), CrystalInput(id="text", poscar_text=ROCK_SALT))
    of_crystal, of_text = (numbers(outcomes[name].prediction) for name in ("NaCl", "text"))
    assert of_text == pytest.approx(of_crystal, abs=1e-4)


def test_a_crystal_unlike_the_training_data_is_told(server: ServiceProcess) -> None:
    """Unseen and rare elements, density, size and distances are flagged per model; the values come anyway."""
    dense = Crystal(2.0 * np.eye(3), np.array([11, 17]), np.array([[0, 0, 0], [0.3, 0, 0]]), "dense")
    outcomes = predict(server, silicon(), iron(), dense, block(repeat=2), model="moduli")
    rare = outcomes["Si"].prediction
    assert rare.out_of_domain
    assert [(w.message, list(w.atomic_numbers), w.model) for w in rare.domain_warnings] == [
        ("hardly trained on Si in 3 crystals", [14], "moduli")
    ]
    assert rare.domain_warnings[0].kind == prediction_pb2.DOMAIN_WARNING_KIND_RARE_ELEMENT
    unseen = outcomes["Fe"].prediction.domain_warnings[0]
    assert unseen.kind == prediction_pb2.DOMAIN_WARNING_KIND_UNSEEN_ELEMENT
    assert list(unseen.atomic_numbers) == [26]
    warnings = {w.kind: w.message for w in outcomes["dense"].prediction.domain_warnings}
    assert warnings == {
        prediction_pb2.DOMAIN_WARNING_KIND_DENSITY: "4.0 Å³ per atom, trained on 8.0 to 30.0",
        prediction_pb2.DOMAIN_WARNING_KIND_SHORT_DISTANCE: (
            "two atoms 0.60 Å apart, trained on distances from 1.50 Å"
        ),
    }
    assert len(outcomes["dense"].prediction.values) == 2
    (large,) = outcomes["block"].prediction.domain_warnings
    assert large.kind == prediction_pb2.DOMAIN_WARNING_KIND_ATOM_COUNT
    assert large.message == "16 atoms in the cell, trained on at most 8"
    in_domain = predict(server, sodium_chloride())["NaCl"].prediction
    assert not in_domain.out_of_domain
    assert not in_domain.domain_warnings


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"model": "none-such"}, ModelNotFoundError, "there is damaged, empty, energies, moduli"),
        ({"model": "damaged"}, ModelNotFoundError, "not what was written"),
        ({"properties": [SHEAR]}, UnsupportedQuantityError, "no model here predicts shear_modulus_gpa"),
        ({"properties": [DENSITY]}, UnsupportedQuantityError, "follows from the structure"),
        (
            {"model": "energies", "properties": [GAP, BULK]},
            UnsupportedQuantityError,
            "energies does not predict bulk_modulus_gpa; there is formation_energy_ev_per_atom, band_gap_ev",
        ),
        ({"properties": [GAP, GAP]}, InvalidFieldError, "twice"),
        ({"properties": [0]}, UnknownEnumValueError, "properties"),
        ({"properties": [999]}, UnknownEnumValueError, "999"),
    ],
)
def test_options_that_nobody_can_meet_fail_the_call(
    server: ServiceProcess, options: dict[str, object], kind: type[Exception], said: str
) -> None:
    """The call fails whole with its reason, and says what there is instead, on both methods."""
    with stub_of(server) as stub:
        calls = (
            stub.Predict(request_of(sodium_chloride(), **options), timeout=60),
            stub.PredictStream(stream_of([sodium_chloride()], **options), timeout=60),
        )
        for call in calls:
            error = failure(call)
            assert isinstance(error, kind)
            assert said in error.message


def test_requests_that_are_wrong_as_a_whole(server: ServiceProcess) -> None:
    """No crystals, two of one id, or too many of them."""
    with stub_of(server) as stub:
        for crystals, kind in (
            ([], EmptyBatchError),
            ([iron(), iron()], DuplicateIdError),
            (copies(iron(), 513), TooManyCrystalsError),
        ):
            assert isinstance(failure(stub.Predict(request_of(*crystals), timeout=60)), kind)


def test_a_full_queue_refuses_with_a_hint(server: ServiceProcess) -> None:
    """Beyond the calls that may wait another is refused at once, and served once there is room."""
    with stub_of(server) as stub:
        streams = [stub.PredictStream(_open_end(), timeout=120) for _ in range(4)]
        for stream in streams:
            next(stream)
        error = failure(stub.Predict(request_of(iron()), timeout=60))
        assert isinstance(error, QueueFullError)
        assert error.retry_after_seconds
        for stream in streams:
            stream.cancel()
        until(lambda: server.metric("crystalmesh_calls_in_flight") == 0, "the cancelled calls have ended")
        assert len(list(stub.Predict(request_of(iron()), timeout=60))) == 1


def test_a_deadline_ends_the_call(server: ServiceProcess) -> None:
    """A call that takes longer than its caller waits fails with DEADLINE_EXCEEDED, and the queue is empty."""
    crystals = [random_crystal(seed, atoms=9, id=str(seed)) for seed in range(512)]
    with stub_of(server) as stub:
        error = failure(stub.Predict(request_of(*crystals), timeout=0.2))
    assert isinstance(error, DeadlineExceededError)
    until(lambda: server.metric("crystalmesh_queued_items") == 0, "the queue is empty")


def test_a_cancelled_call_leaves_the_queue(server: ServiceProcess) -> None:
    """What has not started of a cancelled call is dropped, and others are served."""
    crystals = [random_crystal(seed, atoms=9, id=str(seed)) for seed in range(512)]
    with stub_of(server) as stub:
        call = stub.Predict(request_of(*crystals), timeout=120)
        next(call)
        assert server.metric("crystalmesh_calls_in_flight") == 1
        call.cancel()
        until(lambda: server.metric("crystalmesh_calls_in_flight") == 0, "the call has ended")
        assert server.metric("crystalmesh_queued_items") == 0
        with pytest.raises(grpc.RpcError):
            list(call)
    assert predict(server, iron())["Fe"].prediction.values


def test_batches_and_failures_are_measured(server: ServiceProcess) -> None:
    """Operators see how many crystals share a batch, and why items fail."""
    failed = server.metric("crystalmesh_item_failures_total", reason="UNREADABLE_CRYSTAL")
    batches = server.metric("crystalmesh_batch_items_count")
    items = server.metric("crystalmesh_batch_items_sum")
    predict(server, *copies(sodium_chloride(), 200), CrystalInput(id="bad", cif_text="bad"))
    assert server.metric("crystalmesh_item_failures_total", reason="UNREADABLE_CRYSTAL") == failed + 1
    assert server.metric("crystalmesh_batch_items_sum") == items + 201
    assert server.metric("crystalmesh_batch_items_count") - batches <= 20


def _open_end() -> Iterator[prediction_pb2.PredictStreamRequest]:
    """One crystal, and then nothing for a while."""
    yield from stream_of([sodium_chloride()])
    threading.Event().wait(60)
