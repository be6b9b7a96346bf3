from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import PredictOptions, PredictStreamRequest
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError, TooManyCrystalsError
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_property.stream_intake import StreamIntake
from tests.conftest import ServiceProcess, copies, iron, silicon, sodium_chloride
from tests.property.server.asking import (
    GAP,
    ROCK_SALT,
    failure,
    numbers,
    predict,
    reason_of,
    stream_of,
    stub_of,
)

NAMELESS = CrystalInput(poscar_text=ROCK_SALT)


def test_every_crystal_of_a_stream_has_its_outcome(server: ServiceProcess) -> None:
    """Over all messages each has its index and its id; same ids are allowed, none becomes the position."""
    salt = sodium_chloride()
    batches: list[list[Crystal | CrystalInput]] = [
        [salt, NAMELESS],
        [*copies(silicon(), 40)],
        [],
        [salt, iron(), NAMELESS],
    ]
    with stub_of(server) as stub:
        outcomes = list(stub.PredictStream(stream_of(*batches, properties=[GAP]), timeout=120))
    names = {outcome.index: outcome.crystal_id for outcome in outcomes}
    assert len(outcomes) == len(names) == 45
    assert [names[index] for index in (0, 1, 2, 42, 43, 44)] == ["NaCl", "1", "Si-0", "NaCl", "Fe", "44"]
    by_index = {outcome.index: outcome.prediction for outcome in outcomes}
    alone = predict(server, sodium_chloride(), properties=[GAP])["NaCl"].prediction
    for index in (0, 1, 42, 44):
        assert numbers(by_index[index]) == pytest.approx(numbers(alone), abs=1e-4)


def test_outcomes_come_while_the_caller_still_sends(server: ServiceProcess) -> None:
    """The first outcome arrives before the second message leaves."""
    arrived = threading.Event()

    def messages() -> Iterator[PredictStreamRequest]:
        first, second = stream_of([sodium_chloride()], [silicon()])
        yield first
        assert arrived.wait(60)
        yield second

    with stub_of(server) as stub:
        names = []
        for outcome in stub.PredictStream(messages(), timeout=120):
            names.append(outcome.crystal_id)
            arrived.set()
    assert names == ["NaCl", "Si"]


def test_a_stream_without_crystals_ends_at_once(server: ServiceProcess) -> None:
    """Neither no message nor an empty one is an error."""
    with stub_of(server) as stub:
        assert list(stub.PredictStream(iter([]), timeout=60)) == []
        assert list(stub.PredictStream(stream_of([]), timeout=60)) == []


def test_bad_crystals_do_not_end_a_stream(server: ServiceProcess) -> None:
    """Each is its own outcome, and those after it are predicted."""
    bad = CrystalInput(id="bad", cif_text="bad")
    with stub_of(server) as stub:
        outcomes = {
            outcome.crystal_id: outcome
            for outcome in stub.PredictStream(stream_of([iron(), bad], [silicon()]), timeout=60)
        }
    assert reason_of(outcomes["bad"].error) == "UNREADABLE_CRYSTAL"
    assert outcomes["Fe"].prediction.values
    assert outcomes["Si"].prediction.values


def test_options_after_the_first_message_end_the_stream(server: ServiceProcess) -> None:
    """The stream fails with INVALID_FIELD; the outcomes before it were good."""
    late = PredictStreamRequest(options=PredictOptions(properties=[GAP]))
    with stub_of(server) as stub:
        answered = threading.Event()

        def messages() -> Iterator[PredictStreamRequest]:
            yield from stream_of([silicon()])
            assert answered.wait(60)
            yield late

        call = stub.PredictStream(messages(), timeout=60)
        assert next(call).prediction.values
        answered.set()
        assert isinstance(failure(call), InvalidFieldError)


def test_too_many_crystals_in_one_message_end_the_stream(server: ServiceProcess) -> None:
    """The limit of a call holds for each message."""
    with stub_of(server) as stub:
        call = stub.PredictStream(stream_of([iron()], copies(iron(), 513)), timeout=60)
        assert isinstance(failure(call), TooManyCrystalsError)


def test_a_caller_who_does_not_read_is_held_back(server: ServiceProcess) -> None:
    """Sending stands still while outcomes are not read, and goes on to the end once they are."""
    # Large both ways, so that no buffer takes much, and quickly refused.
    large = CrystalInput(id="x" * 50_000, cif_text="bad")
    count = 1000
    sent = 0

    def messages() -> Iterator[PredictStreamRequest]:
        nonlocal sent
        for _ in range(count):
            sent += 1
            yield PredictStreamRequest(crystals=[large])

    with stub_of(server) as stub:
        call = stub.PredictStream(messages(), timeout=150)
        before, began = -1, time.monotonic()
        while sent != before:
            before = sent
            time.sleep(2)
            assert time.monotonic() - began < 100
        assert 0 < sent < count
        assert sum(1 for _ in call) == count


async def test_an_intake_stays_within_its_bounds() -> None:
    """Crystals are drawn no farther ahead of the answers than allowed, messages only as they are needed."""
    drawn = 0

    async def later() -> AsyncIterator[PredictStreamRequest]:
        nonlocal drawn
        for _ in range(10):
            drawn += 1
            yield PredictStreamRequest(crystals=[CrystalInput(), CrystalInput(id="named")])

    intake = StreamIntake(PredictStreamRequest(), later(), Limits(), most=4)
    taken: list[CrystalInput] = []

    async def taking() -> None:
        async for crystal in intake.crystals():
            taken.append(crystal)  # noqa: PERF401 -- one by one, to see how far it has come

    task = asyncio.create_task(taking())
    for answered in range(16):
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(taken) == 4 + answered
        assert drawn <= 1 + len(taken) // 2
        assert intake.id_of(answered) == ("named" if answered % 2 else str(answered))
        intake.answered(answered)
    await task
    assert len(taken) == 20
