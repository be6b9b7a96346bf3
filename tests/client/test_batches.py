from __future__ import annotations

from collections.abc import Iterator

import pytest

from crystalmesh_client import batches
from crystalmesh_client.batches import ITEMS_PER_CALL, Unanswered, chunks, stream_all
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    InternalError,
    ModelLoadingError,
    QueueFullError,
    UnavailableError,
    UnreachableError,
)
from tests.conftest import copies, silicon

CRYSTALS = copies(silicon(), 5)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which pass at once."""
    passed: list[float] = []
    monkeypatch.setattr(batches.time, "sleep", passed.append)
    return passed


class Script:
    """A server that answers so many crystals and then fails, attempt by attempt."""

    def __init__(self, *attempts: tuple[int, Exception | None]) -> None:
        self._attempts = list(attempts)
        self.asked: list[list[str]] = []

    def __call__(self, unanswered: Unanswered[Crystal]) -> Iterator[str]:
        answers, error = self._attempts.pop(0)
        self.asked.append([crystal.id for crystal in unanswered.items()])
        for crystal_id in self.asked[-1][:answers]:
            yield unanswered.answered(crystal_id).id
        if error is not None:
            raise error


def test_chunks_are_bounded_and_lose_nothing() -> None:
    """Long lists are cut into calls of at most ITEMS_PER_CALL, in order."""
    crystals = copies(silicon(), 2 * ITEMS_PER_CALL + 3)
    parts = list(chunks(crystals))
    assert [len(part) for part in parts] == [ITEMS_PER_CALL, ITEMS_PER_CALL, 3]
    assert [crystal for part in parts for crystal in part] == crystals


def test_only_what_was_lost_is_sent_again(pauses: list[float]) -> None:
    """After each loss the crystals without an outcome are asked for once more, after growing pauses."""
    server = Script(
        (2, UnreachableError("")), (0, UnreachableError("")), (2, UnreachableError("")), (1, None)
    )
    ids = [crystal.id for crystal in CRYSTALS]
    assert list(stream_all(CRYSTALS, server)) == ids
    assert server.asked == [ids, ids[2:], ids[2:], ids[4:]]
    assert pauses == [1, 2, 4]


def test_the_servers_own_hint_is_waited(pauses: list[float]) -> None:
    """A hint goes before our guess."""
    server = Script((0, ModelLoadingError("", retry_after_seconds=7)), (5, None))
    assert len(list(stream_all(CRYSTALS, server))) == 5
    assert pauses == [7]


def test_after_a_few_attempts_the_error_is_raised() -> None:
    """A server that does not come back ends the work with its error."""
    server = Script((1, None), *[(0, UnreachableError("gone"))] * 9)
    server._attempts[0] = (1, UnreachableError("gone"))
    stream = stream_all(CRYSTALS, server)
    assert next(stream) == CRYSTALS[0].id
    with pytest.raises(UnreachableError, match="gone"):
        list(stream)
    assert len(server.asked) == 4


def test_a_server_that_was_never_reached_is_given_up_at_once(pauses: list[float]) -> None:
    """By then gRPC has retried, and somebody waits at a terminal."""
    server = Script((0, UnreachableError("nobody")))
    with pytest.raises(UnreachableError):
        list(stream_all(CRYSTALS, server))
    assert not pauses


def test_a_server_lost_between_two_calls_was_reached(pauses: list[float]) -> None:
    """In a later part of a long list the server is known to have been there."""
    crystals = copies(silicon(), ITEMS_PER_CALL + 1)
    server = Script((ITEMS_PER_CALL, None), (0, UnreachableError("")), (1, None))
    assert len(list(stream_all(crystals, server))) == ITEMS_PER_CALL + 1
    assert pauses == [1]


@pytest.mark.parametrize("error", [QueueFullError("full"), ValueError("ours")])
def test_other_errors_are_raised_as_they_come(error: Exception) -> None:
    """Only unavailability is waited out here; a full queue is gRPC's to retry."""
    with pytest.raises(type(error)):
        list(stream_all(CRYSTALS, Script((2, error))))


def test_a_call_that_ends_well_but_short_is_an_error_and_no_endless_loop() -> None:
    """A server that forgets outcomes is not asked for ever."""
    with pytest.raises(InternalError, match="without 3"):
        list(stream_all(CRYSTALS, Script((2, None))))


@pytest.mark.parametrize("crystal_id", ["stranger", CRYSTALS[0].id])
def test_an_outcome_that_nobody_asked_for_is_an_error(crystal_id: str) -> None:
    """An unknown id, or the same one twice, is the server's fault and says so."""
    unanswered = Unanswered(CRYSTALS, reached=False)
    unanswered.answered(CRYSTALS[0].id)
    with pytest.raises(InternalError):
        unanswered.answered(crystal_id)


def test_an_item_on_its_way_is_still_unanswered() -> None:
    """Messages before the outcome leave the item in the list, and are checked like outcomes."""
    unanswered = Unanswered(CRYSTALS, reached=False)
    assert unanswered.underway(CRYSTALS[0].id) is CRYSTALS[0]
    assert unanswered.items() == CRYSTALS
    unanswered.answered(CRYSTALS[0].id)
    with pytest.raises(InternalError):
        unanswered.underway(CRYSTALS[0].id)


def test_nothing_to_ask_asks_nothing() -> None:
    """An empty list makes no call."""
    server = Script()
    assert list(stream_all([], server)) == []


def test_hints_and_pauses_never_hide_the_error() -> None:
    """The error that ends the attempts is the last one of the server."""
    server = Script(*[(0, ModelLoadingError(f"{number}", retry_after_seconds=0.1)) for number in range(4)])
    with pytest.raises(UnavailableError, match="3"):
        list(stream_all(CRYSTALS, server))
