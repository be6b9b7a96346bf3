from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest, AddMaterialsResponse
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import (
    RetrievalServiceServicer,
    add_RetrievalServiceServicer_to_server,
)
from crystalmesh_client import (
    AddedMaterials,
    AsyncMesh,
    Credentials,
    MaterialInput,
    Mesh,
    batches,
    connection,
)
from crystalmesh_client.ingestion import MATERIALS_PER_MESSAGE, MaterialLike
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.service import Hosted, Service, StandaloneProcess
from crystalmesh_common.runtime.settings import ServiceSettings
from tests.conftest import block, copies, eventually, silicon, sodium_chloride

COUNT = 2 * MATERIALS_PER_MESSAGE + 7
Add = Callable[..., AddedMaterials]


class Recorder(RetrievalServiceServicer):
    """Takes materials and forgets them; fails its first calls as told, after so many messages."""

    def __init__(self, *failures: BaseException, after_messages: int = 10**9) -> None:
        self.failures = list(failures)
        self.after_messages = after_messages
        self.received: list[list[str]] = []
        self.sizes: list[int] = []
        self.gate = asyncio.Event()  # closed, no message is read
        self.gate.set()
        self.answers_after: int | None = None  # messages after which it has seen enough
        self.cancelled = 0

    async def AddMaterials(
        self, requests: AsyncIterator[AddMaterialsRequest], context: Call
    ) -> AddMaterialsResponse:
        failure = self.failures.pop(0) if self.failures else None
        ids: list[str] = []
        self.received.append(ids)
        try:
            if failure is not None and self.after_messages == 0:
                raise failure
            messages = 0
            async for request in requests:
                await self.gate.wait()
                ids += [material.id for material in request.materials]
                self.sizes.append(request.ByteSize())
                messages += 1
                if failure is not None and messages == self.after_messages:
                    raise failure
                if messages == self.answers_after:
                    break
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return AddMaterialsResponse(catalog="any", received_count=len(ids), added_count=len(ids))


@asynccontextmanager
async def hosted(servicer: Recorder, **settings: Any) -> AsyncIterator[str]:
    service = Service(
        "retrieval",
        ServiceSettings,
        lambda _settings, _metrics: Hosted(
            [lambda server: add_RetrievalServiceServicer_to_server(servicer, server)]
        ),
    )
    process = StandaloneProcess(service, ServiceSettings(**{"metrics_port": -1, **settings}))
    await process.start()
    try:
        assert await process.load()
        yield f"127.0.0.1:{process.port}"
    finally:
        servicer.gate.set()
        await process.stop()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def adding(address: str, kind: str, materials: Any, **options: Any) -> AddedMaterials:
    """Add with the client of one kind."""
    options = {"catalog": "any", **options}
    if kind == "async":
        async with AsyncMesh(address, credentials=Credentials(token=None)) as mesh:
            return await mesh.retrieval.add_materials(materials, **options)

    def add() -> AddedMaterials:
        with Mesh(address, credentials=Credentials(token=None)) as mesh:
            return mesh.retrieval.add_materials(materials, **options)

    return await asyncio.to_thread(add)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time."""
    passed: list[float] = []
    monkeypatch.setattr(batches, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(batches.time, "sleep", passed.append)
    return passed


def test_materials_are_added_once(mesh: Mesh) -> None:
    """New, equal and replaced materials are counted as such, and all can be found at once."""
    crystals = [sodium_chloride("a"), silicon("b")]
    added = mesh.retrieval.add_materials(crystals, catalog="once", create=True, description="two")
    assert (added.added_count, added.unchanged_count, added.complete) == (2, 0, True)
    assert added.catalog_version == mesh.retrieval.catalog("once").version
    again = mesh.retrieval.add_materials(iter(crystals), catalog="once")
    assert (again.received_count, again.unchanged_count, again.catalog_version) == (
        2,
        2,
        added.catalog_version,
    )
    stretched = MaterialInput(sodium_chloride(a=5.8), "a", {"band_gap_ev": 4})
    assert mesh.retrieval.add_materials([stretched], catalog="once").replaced_count == 1
    assert {hit.material.id for hit in mesh.retrieval.search("x", catalog="once")} == {"a", "b"}
    assert mesh.retrieval.find_matches(silicon(), catalog="once").is_known


def test_materials_go_from_one_catalog_to_another(mesh: Mesh) -> None:
    """What a catalog lists can be added to another as it comes, and is the same there."""
    listed = mesh.retrieval.materials(catalog="known", view="full")
    assert mesh.retrieval.add_materials(listed, catalog="copy", create=True).added_count == 3
    before, after = (mesh.retrieval.material("salt", catalog=name) for name in ("known", "copy"))
    assert before.properties == after.properties
    assert before.structure_description == after.structure_description
    with pytest.raises(ValueError, match='view="full"'):
        mesh.retrieval.add_materials(mesh.retrieval.materials(catalog="known"), catalog="copy")


class Unpublishable(Structure):
    """A pymatgen Structure with an id."""

    id = "half"


async def test_what_is_rejected_is_told_by_its_place(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """What the server rejects and what cannot even be sent keep their positions among all that was given."""
    disordered = Unpublishable(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    twins = replace(silicon("twins"), frac_coords=np.zeros((2, 3)))
    given: list[MaterialLike] = [
        disordered,
        silicon("good"),
        MaterialInput(silicon(""), ""),
        twins,
        MaterialInput(silicon("odd"), properties={"taste": 1.0}),
        MaterialInput(silicon("caf\udce9")),
        sodium_chloride("also good"),
        twins,
    ]
    added = mesh.retrieval.add_materials(given, catalog="picky", create=True)
    assert [(each.index, each.id, each.error.reason) for each in added.rejections] == [
        (0, "half", "DISORDERED_CRYSTAL"),
        (2, "", "INVALID_FIELD"),
        (3, "twins", "OVERLAPPING_ATOMS"),
        (4, "odd", "INVALID_FIELD"),
        (5, "caf\udce9", "INVALID_FIELD"),
        (7, "twins", "OVERLAPPING_ATOMS"),
    ]
    assert (added.received_count, added.added_count, added.complete) == (8, 2, True)
    assert "OVERLAPPING_ATOMS" in added._repr_html_()
    again = await async_mesh.retrieval.add_materials(given, catalog="picky")
    assert again.unchanged_count == 2
    assert [each.index for each in again.rejections] == [each.index for each in added.rejections]


async def test_a_server_that_gives_up_is_believed(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """After 1,000 rejections the rest is not read, and the answer says that it is not complete."""
    read = 0

    def bad() -> Iterator[MaterialInput]:
        nonlocal read
        for twins in copies(replace(silicon("twins"), frac_coords=np.zeros((2, 3))), 3_000):
            read += 1
            yield MaterialInput(twins, structure_description="x" * 10_000)

    added = mesh.retrieval.add_materials(bad(), catalog="hopeless", create=True)
    assert (added.complete, added.received_count, len(added.rejections)) == (False, 1000, 1000)
    assert read < 3_000
    again = await async_mesh.retrieval.add_materials(bad(), catalog="hopeless")
    assert (again.complete, again.received_count) == (False, 1000)


async def test_refusals_are_told_as_they_are(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """A catalog that is not there is NOT_FOUND for both clients, however much was on its way."""
    with pytest.raises(errors.ResourceNotFoundError, match="sugar"):
        mesh.retrieval.add_materials([silicon()], catalog="sugar")
    with pytest.raises(errors.ResourceNotFoundError, match="sugar"):
        await async_mesh.retrieval.add_materials([silicon()], catalog="sugar")


async def test_an_early_refusal_is_never_mistaken(kind: str) -> None:
    """A stream that is refused while it is written says what the server said, every time."""
    materials = copies(block(repeat=5), 40)
    refusals = [errors.ResourceNotFoundError(f"no {number}", resource="catalog") for number in range(40)]
    servicer = Recorder(*refusals)
    async with hosted(servicer) as address:
        for number in range(40):
            servicer.after_messages = number % 3
            with pytest.raises(errors.ResourceNotFoundError, match=f"no {number}") as refused:
                await adding(address, kind, materials)
            assert refused.value.details["resource"] == "catalog"


async def test_materials_are_read_as_the_server_takes_them(kind: str) -> None:
    """While the server reads nothing, only a few messages are made; then all arrive, in order, in bounds."""
    read = 0
    large = block(repeat=12)  # 3,456 atoms, some 110 kB

    def endless() -> Iterator[Crystal]:
        nonlocal read
        for crystal in copies(large, 300):
            read += 1
            yield crystal

    servicer = Recorder()
    servicer.gate.clear()
    async with hosted(servicer) as address:
        task = asyncio.create_task(adding(address, kind, endless()))
        await eventually(lambda: bool(servicer.received), "the call arrives")
        before = -1
        while before != read:  # until no more is taken
            before = read
            await asyncio.sleep(0.3)
        assert read < 200
        servicer.gate.set()
        added = await task
    assert (added.received_count, added.complete) == (300, True)
    assert servicer.received == [[f"block-{number}" for number in range(300)]]
    assert servicer.sizes[0] < 100  # the header goes ahead, with nothing in it
    assert max(servicer.sizes) < 600_000


@pytest.mark.parametrize(
    "failure", [errors.UnreachableError("gone"), errors.WriterBusyError("busy"), errors.ModelLoadingError("")]
)
async def test_what_can_be_read_again_is_sent_again(kind: str, failure: errors.CrystalMeshError) -> None:
    """After a failure that passes, a list is sent from the start; the answer is that of the last attempt."""
    servicer = Recorder(failure, failure, after_messages=2)
    async with hosted(servicer) as address:
        added = await adding(address, kind, copies(silicon(), COUNT))
    assert (added.received_count, added.complete) == (COUNT, True)
    assert len(servicer.received[-1]) == COUNT
    assert len(servicer.received) >= 3


async def test_a_generator_is_not_sent_again(kind: str) -> None:
    """The error keeps its class and says how far it came and what to do."""
    servicer = Recorder(errors.WriterBusyError("busy"), after_messages=2)
    async with hosted(servicer) as address:
        with pytest.raises(errors.WriterBusyError, match=r"^busy; [\d,]+ materials had been read") as failed:
            await adding(address, kind, iter(copies(silicon(), COUNT)))
    assert 0 < int(failed.value.details["read"]) <= COUNT
    assert "give all of them once more" in str(failed.value)
    assert len(servicer.received) == 1


async def test_after_a_few_attempts_the_error_is_raised(kind: str) -> None:
    """A writer that stays is told in the end."""
    servicer = Recorder(*[errors.WriterBusyError("busy")] * 9, after_messages=1)
    async with hosted(servicer) as address:
        with pytest.raises(errors.WriterBusyError, match=r"^busy$"):
            await adding(address, kind, [silicon()])
    assert len(servicer.received) == 4


async def test_what_a_retry_cannot_help_is_not_retried(kind: str) -> None:
    """A full disk is told after one attempt."""
    servicer = Recorder(errors.StorageFullError("full"), after_messages=1)
    async with hosted(servicer) as address:
        with pytest.raises(errors.StorageFullError):
            await adding(address, kind, [silicon()])
    assert len(servicer.received) == 1


async def test_nobody_there_is_told_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was never reached is UNREACHABLE after one attempt, in which gRPC itself has tried."""
    monkeypatch.setattr(connection, "CHANNEL_OPTIONS", [("grpc.enable_retries", 0)])
    read: list[str] = []

    class Materials(list[Crystal]):
        def __iter__(self) -> Iterator[Crystal]:
            read.append("from the start")
            return super().__iter__()

    with pytest.raises(errors.UnreachableError):
        await adding("127.0.0.1:1", kind, Materials(copies(silicon(), COUNT)))
    # One to look whether it begins anew, and one attempt that may not have come to read.
    assert len(read) <= 2


async def test_an_error_of_the_callers_own_comes_out_as_it_is(kind: str) -> None:
    """What the iterable raises is raised, once, and the call ends with it."""
    servicer = Recorder()

    def breaking() -> Iterator[Crystal]:
        yield from copies(silicon(), COUNT)
        raise LookupError("the caller's own")

    async with hosted(servicer) as address:
        with pytest.raises(LookupError, match="the caller's own"):
            await adding(address, kind, breaking())
    assert len(servicer.received) <= 1


async def test_a_server_that_has_seen_enough_answers(kind: str) -> None:
    """An answer before the end of the stream is the answer."""
    servicer = Recorder()
    servicer.answers_after = 2
    async with hosted(servicer) as address:
        for _ in range(5):
            added = await adding(address, kind, copies(block(repeat=8), 60))
            assert not added.complete
            assert 0 < added.received_count < 60


async def test_asynchronous_iterables_are_read(async_mesh: AsyncMesh) -> None:
    """An asynchronous generator is a source of materials for the async client."""

    async def source() -> AsyncIterator[Crystal]:
        for crystal in copies(silicon(), 3):
            await asyncio.sleep(0)
            yield crystal

    added = await async_mesh.retrieval.add_materials(source(), catalog="flow", create=True)
    assert added.added_count == 3


async def test_a_cancelled_task_cancels_the_call() -> None:
    """The server learns at once that nobody waits any more."""
    servicer = Recorder()
    servicer.gate.clear()
    async with hosted(servicer) as address:
        task = asyncio.create_task(adding(address, "async", copies(silicon(), COUNT)))
        await eventually(lambda: bool(servicer.received), "the call arrives")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: servicer.cancelled == 1, "the server sees it")


async def test_a_deadline_bounds_an_attempt(kind: str) -> None:
    """A server that takes too long is DEADLINE_EXCEEDED."""
    servicer = Recorder()
    servicer.gate.clear()
    async with hosted(servicer) as address:
        with pytest.raises(errors.DeadlineExceededError):
            await adding(address, kind, [silicon()], timeout=0.3)
