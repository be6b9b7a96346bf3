"""`predict_stream` of both clients, where a server fails in ways that a real one cannot be made to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalmesh_client import AsyncMesh, Credentials, Failed, Mesh, Prediction, batches, connection
from crystalmesh_client.prediction_streams import CRYSTALS_PER_MESSAGE, CRYSTALS_UNDER_WAY
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from tests.client.property.hosting import Oracle, hosted
from tests.conftest import block, copies, eventually, silicon, sodium_chloride

COUNT = 3 * CRYSTALS_PER_MESSAGE + 7
NOBODY = Credentials(token=None)
Outcome = Prediction | Failed


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_FIRST_PAUSE_SECONDS", 0.01)


async def streamed(
    address: str,
    kind: str,
    crystals: Any,
    seen: Callable[[Outcome], None] = lambda _: None,
    limit: int | None = None,
    **options: Any,
) -> list[Outcome]:
    """All outcomes, or the first few, with the client of one kind."""
    outcomes: list[Outcome] = []

    def is_enough(outcome: Outcome) -> bool:
        outcomes.append(outcome)
        seen(outcome)
        return len(outcomes) == limit

    if kind == "async":
        async with AsyncMesh(address, credentials=NOBODY) as mesh:
            stream = mesh.property.predict_stream(crystals, **options)
            async for outcome in stream:
                if is_enough(outcome):
                    break
            await stream.aclose()
        return outcomes

    def ask() -> list[Outcome]:
        with Mesh(address, credentials=NOBODY) as mesh:
            for outcome in mesh.property.predict_stream(crystals, **options):
                if is_enough(outcome):
                    break
        return outcomes

    return await asyncio.to_thread(ask)


def places(outcomes: Iterable[Outcome]) -> list[int]:
    return sorted(outcome.index or 0 for outcome in outcomes)


async def test_each_crystal_has_one_outcome_that_knows_its_place(kind: str) -> None:
    """Answers in another order find their crystals, also where ids repeat or are missing."""
    crystals = [*copies(silicon(), COUNT - 3), silicon("twin"), silicon("twin"), silicon("")]
    servicer = Oracle()
    async with hosted(servicer) as address:
        outcomes = await streamed(address, kind, iter(crystals))
    assert places(outcomes) == list(range(COUNT))
    for outcome in outcomes:
        assert isinstance(outcome, Prediction)
        assert outcome.index is not None
        given = crystals[outcome.index]
        assert outcome.id == given.id or outcome.id == str(COUNT - 1)
        assert outcome["band_gap_ev"].value == outcome.index  # the same place in the call
    assert servicer.asked == [[crystal.id or str(COUNT - 1) for crystal in crystals]]


async def test_nothing_has_no_outcomes(kind: str) -> None:
    """An empty iterable ends well."""
    async with hosted(Oracle()) as address:
        assert await streamed(address, kind, []) == []


async def test_what_cannot_be_sent_is_an_outcome(kind: str, tmp_path: Path) -> None:
    """Disordered structures, ids that are no text, what is no crystal and bad files stop no other."""
    disordered = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    bad = tmp_path / "bad.cif"
    bad.write_text("data_bad\n")
    given = [disordered, silicon("good"), silicon("caf\udce9"), None, tmp_path / "no.cif", bad, silicon()]
    async with hosted(Oracle()) as address:
        outcomes = await streamed(address, kind, given)
    failed = {outcome.index: outcome.error.reason for outcome in outcomes if isinstance(outcome, Failed)}
    assert failed.keys() == {0, 2, 3, 4, 5}
    assert (failed[0], failed[2], failed[3]) == ("DISORDERED_CRYSTAL", "INVALID_FIELD", "INVALID_CRYSTAL")
    assert places(outcomes) == list(range(7))


async def test_crystals_are_not_read_far_ahead(kind: str) -> None:
    """While the server answers nothing, a bounded number of crystals is read; later all have outcomes."""
    read = 0

    def endless() -> Iterator[Crystal]:
        nonlocal read
        for crystal in copies(silicon(), 2 * CRYSTALS_UNDER_WAY):
            read += 1
            yield crystal

    servicer = Oracle()
    servicer.gate.clear()
    async with hosted(servicer) as address:
        task = asyncio.create_task(streamed(address, kind, endless()))
        await eventually(lambda: read >= CRYSTALS_UNDER_WAY, "it reads ahead")
        await asyncio.sleep(0.2)
        assert read == CRYSTALS_UNDER_WAY
        servicer.gate.set()
        assert len(await task) == 2 * CRYSTALS_UNDER_WAY


async def test_messages_stay_small(kind: str) -> None:
    """Large crystals travel a few a message; the options go ahead with nothing in their message."""
    servicer = Oracle()
    async with hosted(servicer) as address:
        assert len(await streamed(address, kind, copies(block(repeat=12), 30))) == 30  # 110 kB each
    assert servicer.sizes[0] < 10
    assert max(servicer.sizes) < 600_000


async def test_outcomes_come_while_crystals_are_still_read(kind: str) -> None:
    """The first outcomes are there long before the last crystal is asked for."""
    outcomes: list[Outcome] = []
    behind: list[int] = []

    def note(number: int) -> None:
        behind.append(number - len(outcomes))

    def slow() -> Iterator[Crystal]:
        for number, crystal in enumerate(copies(silicon(), 30)):
            time.sleep(0.03)
            note(number)
            yield crystal

    async def slow_too() -> AsyncIterator[Crystal]:
        for number, crystal in enumerate(copies(silicon(), 30)):
            await asyncio.sleep(0.03)
            note(number)
            yield crystal

    async with hosted(Oracle()) as address:
        await streamed(address, kind, slow() if kind == "sync" else slow_too(), outcomes.append)
    assert min(behind[10:]) < 10


async def test_the_async_client_answers_while_it_waits_for_the_next_crystal() -> None:
    """A source that yields the next crystal only when it knows the outcome of the last one gets it."""
    known = asyncio.Event()

    async def dependent() -> AsyncIterator[Crystal]:
        for crystal in copies(silicon(), 3):
            yield crystal
            await asyncio.wait_for(known.wait(), 30)
            known.clear()

    async with hosted(Oracle()) as address:
        outcomes = await streamed(address, "async", dependent(), lambda _: known.set())
    assert [outcome.index for outcome in outcomes] == [0, 1, 2]


GONE, FULL, LOADING = (
    errors.UnreachableError("gone"),
    errors.QueueFullError("full"),
    errors.ModelLoadingError(""),
)


@pytest.mark.parametrize(
    ("failure", "after"),
    [(FULL, 0), (LOADING, 0), (GONE, 1), (FULL, 1), (GONE, CRYSTALS_PER_MESSAGE + 5)],
    ids=["full", "loading", "gone", "full later", "gone later"],
)
async def test_what_has_no_outcome_is_sent_again(
    kind: str, failure: errors.CrystalMeshError, after: int
) -> None:
    """A generator is read once; what a lost call did not answer is asked again, and nothing twice."""
    servicer = Oracle(failure, failure, after=after)
    async with hosted(servicer) as address:
        outcomes = await streamed(address, kind, (crystal for crystal in copies(silicon(), COUNT)))
    assert places(outcomes) == list(range(COUNT))
    assert {outcome.id: outcome.index for outcome in outcomes} == {
        f"Si-{place}": place for place in range(COUNT)
    }
    assert len(servicer.asked) == 3


async def test_progress_makes_a_lost_server_forgivable(kind: str) -> None:
    """Many losses in a long stream are borne, as long as each call brings something."""
    losses = [errors.UnreachableError("gone") for _ in range(9)]
    servicer = Oracle(*losses, after=2)
    async with hosted(servicer) as address:
        assert places(await streamed(address, kind, copies(silicon(), 40))) == list(range(40))
    assert len(servicer.asked) == 10


async def test_after_a_few_calls_that_bring_nothing_it_is_told(kind: str) -> None:
    """A queue that stays full is QUEUE_FULL after four attempts."""
    servicer = Oracle(*[errors.QueueFullError("full", retry_after_seconds=0.01)] * 9)
    async with hosted(servicer) as address:
        with pytest.raises(errors.QueueFullError):
            await streamed(address, kind, [silicon()])
    assert len(servicer.asked) == 4


async def test_what_a_retry_cannot_help_is_told_at_once(kind: str) -> None:
    """Refusals come out as they are after one attempt, always, however much was on its way."""
    refusals = [errors.ModelNotFoundError(f"no {number}") for number in range(40)]
    servicer = Oracle(*refusals)
    async with hosted(servicer) as address:
        for number in range(40):
            servicer.after = number % 3
            with pytest.raises(errors.ModelNotFoundError, match=f"no {number}$"):
                await streamed(address, kind, copies(silicon(), COUNT))
    assert len(servicer.asked) == 40


async def test_nobody_there_is_told(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was never reached is UNREACHABLE."""
    monkeypatch.setattr(connection, "CHANNEL_OPTIONS", [("grpc.enable_retries", 0)])
    with pytest.raises(errors.UnreachableError):
        await streamed("127.0.0.1:1", kind, copies(silicon(), COUNT))


async def test_an_error_of_the_callers_own_comes_out_as_it_is(kind: str) -> None:
    """What the iterable raises is raised and ends the call, also where it looks like a lost server."""
    servicer = Oracle()

    def breaking(error: BaseException) -> Iterator[Crystal]:
        yield from copies(silicon(), COUNT)
        raise error

    async with hosted(servicer) as address:
        for error in (LookupError("the caller's own"), errors.UnreachableError("the caller's own")):
            with pytest.raises(type(error), match="the caller's own"):
                await streamed(address, kind, breaking(error))
    assert len(servicer.asked) <= 2


async def test_leaving_the_loop_cancels_the_call(kind: str) -> None:
    """The server learns at once that nobody waits any more, and nothing more is read."""
    servicer = Oracle()
    read = 0

    def endless() -> Iterator[Crystal]:
        nonlocal read
        while True:
            read += 1
            yield silicon()

    async with hosted(servicer) as address:
        assert len(await streamed(address, kind, endless(), limit=5)) == 5
        await eventually(lambda: servicer.ended == 1, "the server sees it")
        before = read
        await asyncio.sleep(0.1)
        assert read == before


async def test_a_cancelled_task_cancels_the_call() -> None:
    """So does cancelling the task that waits, also while the source is waited for."""
    servicer = Oracle()

    async def stuck() -> AsyncIterator[Crystal]:
        yield silicon()
        await asyncio.Event().wait()

    async with hosted(servicer) as address:
        task = asyncio.create_task(streamed(address, "async", stuck()))
        await eventually(lambda: bool(servicer.asked and servicer.asked[0]), "the crystal arrives")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: servicer.ended == 1, "the server sees it")


async def test_a_closed_mesh_ends_the_stream() -> None:
    """Closing the mesh under a running stream raises, and does not hang."""
    servicer = Oracle()
    async with hosted(servicer) as address:
        mesh = AsyncMesh(address, credentials=NOBODY)
        stream = mesh.property.predict_stream(silicon(str(n)) for n in range(10**6))
        await anext(stream)
        await mesh.close()
        with pytest.raises(errors.CallCancelledError):
            async for _ in stream:
                pass


async def test_a_deadline_bounds_the_stream(kind: str) -> None:
    """A server that takes too long is DEADLINE_EXCEEDED."""
    servicer = Oracle()
    servicer.gate.clear()
    async with hosted(servicer) as address:
        with pytest.raises(errors.DeadlineExceededError):
            await streamed(address, kind, [silicon()], timeout=0.3)


async def test_a_server_that_forgets_outcomes_is_internal(kind: str) -> None:
    """A call that ends well without all outcomes is INTERNAL, and so is an outcome that nobody asked for."""
    servicer = Oracle()
    servicer.ends_after = 2
    async with hosted(servicer) as address:
        with pytest.raises(errors.InternalError, match="without"):
            await streamed(address, kind, copies(silicon(), COUNT))
        servicer.ends_after, servicer.wrong_index = None, True
        with pytest.raises(errors.InternalError, match="not asked about"):
            await streamed(address, kind, [silicon(), sodium_chloride()])
    assert len(servicer.asked) == 2


async def test_names_that_are_no_properties_are_told_before_anybody_is_asked(kind: str) -> None:
    """A misspelt property is INVALID_FIELD without a server, and nothing is read."""
    with pytest.raises(errors.InvalidFieldError, match="band_gap_ev"):
        await streamed("127.0.0.1:1", kind, iter(()), properties=["gap"])


async def test_crystals_keep_what_they_were(kind: str) -> None:
    """A prediction holds the crystal that was given."""
    given = replace(sodium_chloride(), scalars={"temperature": 300.0})
    async with hosted(Oracle()) as address:
        (outcome,) = await streamed(address, kind, [given])
    assert isinstance(outcome, Prediction)
    assert outcome.crystal is given
    assert outcome.formula == "NaCl"
