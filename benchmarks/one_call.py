"""A thousand relaxations in one call: how much memory the server takes, and when results come.

MP-20 test crystals as they are published, default options. Memory is that of the server and its evaluators
together, shared pages counted once each (PSS), at its highest while the call runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import grpc
import psutil

from benchmarks.crystals import mp20_test
from benchmarks.processes import relaxation_server
from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1.relaxation_pb2 import RelaxRequest
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceStub
from crystalmesh_common.crystal.protobuf import crystal_to_proto

GIBIBYTE = 1024**3


def run(quick: bool) -> dict[str, float]:
    """Seconds to the first result and to all, and the server's memory."""
    count = 60 if quick else 1000
    crystals = mp20_test(count, max_atoms=20, seed=2)
    request = RelaxRequest(crystals=[CrystalInput(crystal=crystal_to_proto(c)) for c in crystals])
    times: dict[int, float] = {}
    order: list[int] = []
    with relaxation_server() as address, grpc.insecure_channel(address) as channel, watched(address) as peak:
        started = time.perf_counter()
        for response in RelaxationServiceStub(channel).Relax(request, timeout=3600):
            order.append(response.index)
            times[response.index] = time.perf_counter() - started
    # In order of completion: the long ones are overtaken.
    overtaken = sum(later < earlier for earlier, later in pairwise(order))
    print(f"{len(times)} of {count} results, {overtaken} came before one that was asked for earlier")
    return {
        "first_s": min(times.values()),
        "all_s": max(times.values()),
        "peak_gib": max(peak) / GIBIBYTE,
        "answered": len(times) / count,
        "crystals_per_s": count / max(times.values()),
    }


@contextmanager
def watched(address: str) -> Iterator[list[int]]:
    """The memory of the process that listens there and of its children, taken ten times a second."""
    port = int(address.rpartition(":")[2])
    (server,) = (
        child
        for child in psutil.Process().children()
        if any(listener.laddr.port == port for listener in child.net_connections("tcp"))
    )
    taken: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            taken.append(sum(process.memory_full_info().pss for process in _family(server)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield taken
    finally:
        done.set()
        thread.join()


def _family(server: psutil.Process) -> list[psutil.Process]:
    return [server, *server.children(recursive=True)]
