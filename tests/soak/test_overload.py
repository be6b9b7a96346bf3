from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
import psutil
import pytest

from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateResponse
from crystalmesh_common.runtime.errors import QueueFullError
from crystalmesh_common.runtime.statuses import PUSHBACK_KEY, from_rpc_failure
from tests.conftest import ServiceProcess, block, copies, until
from tests.relaxation.wire import EVALUATE, request_of, still_serves

CLIENTS = 200
SECONDS = 30.0
QUEUED_CALLS = 32
# 64 atoms: a call fills a batch of the device by itself, so that the device is what everybody waits for.
CRYSTALS_PER_CALL = 4
# Below these it was no overload: about what one core gives while three others want it.
MIN_CALLS_PER_CLIENT = 1
MIN_CALLS = 1500
MIN_REFUSALS = 750
# Torch and gRPC keep what they have once needed; after the warm-up they should need no more.
RSS_TOLERANCE_BYTES = 48 * 1024 * 1024
# Far beyond what any call waits; a call that ends by it has hung.
HANGING_SECONDS = 240.0


@dataclass
class Load:
    """What the clients did and saw."""

    ends_at: float
    calls: Counter[int] = field(default_factory=Counter)  # by client
    codes: Counter[str] = field(default_factory=Counter)
    hints: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A server of its own with a short queue."""
    started = ServiceProcess(
        tmp_path_factory.mktemp("overload"),
        *("--limits.queued-calls", str(QUEUED_CALLS), "--threads", "1", "--log-level", "warning"),
    )
    try:
        started.wait_serving()
        yield started
    finally:
        started.kill()


async def client(number: int, channel: grpc.aio.Channel, payload: bytes, load: Load) -> None:
    """Call again and again; after a refusal wait for what the server asked, but a moment at most."""
    call = channel.unary_stream(EVALUATE)
    while time.monotonic() < load.ends_at:
        load.calls[number] += 1
        try:
            outcomes = [
                EvaluateResponse.FromString(response)
                async for response in call(payload, timeout=HANGING_SECONDS)
            ]
        except grpc.aio.AioRpcError as failure:
            load.codes[failure.code().name] += 1
            error = from_rpc_failure(failure)
            trailers = dict(failure.trailing_metadata() or ())
            hint = error.retry_after_seconds
            if not (isinstance(error, QueueFullError) and hint and int(str(trailers[PUSHBACK_KEY])) > 0):
                load.wrong.append(f"{failure.code().name}: {failure.details()}")
                continue
            load.hints.append(hint)
            await asyncio.sleep(min(hint, 0.5))
        else:
            load.codes["OK"] += 1
            if sum(outcome.HasField("evaluation") for outcome in outcomes) != CRYSTALS_PER_CALL:
                load.wrong.append(f"{len(outcomes)} outcomes")


async def resident_bytes(pid: int, ends_at: float) -> list[int]:
    """The server's memory, sampled while the load lasts."""
    process, samples = psutil.Process(pid), []
    while time.monotonic() < ends_at:
        samples.append(process.memory_info().rss)
        await asyncio.sleep(0.25)
    return samples


async def overload(server: ServiceProcess) -> tuple[Load, list[int]]:
    payload = request_of(*copies(block(repeat=2), CRYSTALS_PER_CALL)).SerializeToString()
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(server.address, options=options))
            for _ in range(CLIENTS)
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        load = Load(ends_at=time.monotonic() + SECONDS)
        clients = [client(number, channel, payload, load) for number, channel in enumerate(channels)]
        samples, *_ = await asyncio.gather(resident_bytes(server.pid, load.ends_at), *clients)
    return load, samples


@pytest.mark.soak
async def test_an_overloaded_server_refuses_early_and_stays_well(server: ServiceProcess) -> None:
    """200 clients for 30 s on a queue of 32: refusals say when to retry, all calls end, memory stays flat."""
    load, rss = await overload(server)

    # The load was one.
    assert load.calls.total() >= MIN_CALLS, load.codes
    assert len(load.calls) == CLIENTS
    assert min(load.calls.values()) >= MIN_CALLS_PER_CLIENT
    assert len(load.hints) >= MIN_REFUSALS

    # Every call ended, with all of its outcomes or with a refusal that says when to come back.
    assert not load.wrong, Counter(load.wrong).most_common(5)
    assert set(load.codes) == {"OK", "RESOURCE_EXHAUSTED"}
    assert load.codes.total() == load.calls.total()
    assert all(0 < hint <= 30 for hint in load.hints)

    # The first half shows what the server needs; peaks, because allocators give back and take again.
    half = len(rss) // 2
    assert max(rss[half:]) <= max(rss[:half]) + RSS_TOLERANCE_BYTES, [sample // 2**20 for sample in rss[::10]]

    # The server is as it was.
    until(lambda: server.metric("crystalmesh_calls_in_flight") == 0, "nothing is in flight")
    assert server.metric("crystalmesh_queued_calls") == 0
    assert server.metric("crystalmesh_refusals_total", reason="QUEUE_FULL") == len(load.hints)
    assert server.log == ""
    server.wait_serving()
    still_serves(server)
