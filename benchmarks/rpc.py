"""What the whole stack costs per call, against a bare grpc.aio echo in the same run.

Two servers, each a process of its own, and this process as their client, all on one machine. Rounds
alternate between the servers, so that a noisy neighbour hits both; figures are medians over rounds.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import grpc

from benchmarks.echo_server import METHOD, TOKEN
from benchmarks.processes import started
from crystalmesh.crystal.v1.crystal_pb2 import Crystal

CONCURRENCY = 32
_METADATA = {
    "bare": (),
    "full": (("authorization", f"Bearer {TOKEN}"), ("application", "echo"), ("x-request-id", "benchmark-1")),
}


def run(quick: bool) -> dict[str, float]:
    """Throughput of 32 callers and p50 of one, full stack against bare."""
    rounds, seconds = (7, 1.2) if quick else (15, 4.0)
    with echo_server("bare") as bare, echo_server("full") as full:
        return asyncio.run(compare({"bare": bare, "full": full}, rounds, seconds))


@contextmanager
def echo_server(kind: str) -> Iterator[str]:
    """A running echo server's address."""
    with tempfile.TemporaryDirectory() as scratch:
        address_file = Path(scratch) / "address"
        program = Path(__file__).with_name("echo_server.py")
        with started([str(program), kind, str(address_file)], address_file) as address:
            yield address


async def compare(addresses: dict[str, str], rounds: int, seconds: float) -> dict[str, float]:
    rates: dict[str, list[float]] = {kind: [] for kind in addresses}
    latencies: dict[str, list[float]] = {kind: [] for kind in addresses}
    for number in range(-1, rounds):
        for kind, address in addresses.items():
            async with Caller(address, kind) as caller:
                rate = await caller.rate(seconds)
                p50 = await caller.p50(seconds / 2)
            if number >= 0:  # the first round warms up
                rates[kind].append(rate)
                latencies[kind].append(p50)
                print(f"round {number + 1}/{rounds} {kind}: {rate:,.0f} calls/s, p50 {p50 * 1000:.3f} ms")
    ratios = [full / bare for full, bare in zip(rates["full"], rates["bare"], strict=True)]
    added = [full - bare for full, bare in zip(latencies["full"], latencies["bare"], strict=True)]
    return {
        "throughput_ratio": statistics.median(ratios),
        "added_ms": statistics.median(added) * 1000,
        "bare_rps": statistics.median(rates["bare"]),
        "full_rps": statistics.median(rates["full"]),
        "bare_p50_ms": statistics.median(latencies["bare"]) * 1000,
        "full_p50_ms": statistics.median(latencies["full"]) * 1000,
    }


class Caller:
    """Calls one echo server over one channel."""

    def __init__(self, address: str, kind: str) -> None:
        self._address = address
        self._metadata = _METADATA[kind]
        self._message = Crystal(
            id="NaCl",
            cell_angstrom=[5.64, 0, 0, 0, 5.64, 0, 0, 0, 5.64],
            atomic_numbers=[11] * 4 + [17] * 4,
            fractional_coordinates=[0.25 * (i % 4) for i in range(24)],
        )

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address)
        self._echo = self._channel.unary_unary(
            METHOD, request_serializer=Crystal.SerializeToString, response_deserializer=Crystal.FromString
        )
        await self._call()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def _call(self) -> None:
        answer = await self._echo(self._message, metadata=self._metadata, timeout=10)
        if len(answer.atomic_numbers) != 8:
            raise RuntimeError("the echo is not what was sent")

    async def rate(self, seconds: float) -> float:
        """Calls per second of 32 callers, each waiting for its answer before it calls again."""
        count = 0
        end = time.perf_counter() + seconds

        async def call_on() -> None:
            nonlocal count
            while time.perf_counter() < end:
                await self._call()
                count += 1

        started = time.perf_counter()
        await asyncio.gather(*(call_on() for _ in range(CONCURRENCY)))
        return count / (time.perf_counter() - started)

    async def p50(self, seconds: float) -> float:
        """Median time of one call at a time, in seconds."""
        times: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            started = time.perf_counter()
            await self._call()
            times.append(time.perf_counter() - started)
        return statistics.median(times)
