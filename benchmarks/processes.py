"""Servers that benchmarks start and stop, each by its own process id."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


@contextmanager
def started(command: Sequence[str], address_file: Path, *, seconds: float = 60) -> Iterator[str]:
    """What a process writes to `address_file` once it listens; the process is killed at the end."""
    process = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds
        while not address_file.exists() or not address_file.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} did not start")
            time.sleep(0.05)
        yield address_file.read_text()
    finally:
        process.kill()
        process.wait()


def relaxation_server(*flags: str) -> AbstractContextManager[str]:
    """The address of a relaxation service that answers."""
    return _server("crystalmesh_relaxation", flags)


def property_server(*flags: str) -> AbstractContextManager[str]:
    """The address of a property service that answers."""
    return _server("crystalmesh_property", flags)


def generation_server(*flags: str) -> AbstractContextManager[str]:
    """The address of a generation service that answers."""
    return _server("crystalmesh_generation", flags)


@contextmanager
def _server(module: str, flags: Sequence[str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as scratch:
        endpoint_file = Path(scratch) / "endpoint.json"
        command = ["-m", module, "--endpoint-file", str(endpoint_file), *flags]
        with started(command, endpoint_file) as endpoint:
            address = str(json.loads(endpoint)["address"])
            wait_serving(address)
            yield address


def wait_serving(address: str, *, seconds: float = 60) -> None:
    """Return once the server's health says SERVING."""
    deadline = time.monotonic() + seconds
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest()
        while health.Check(request, timeout=10).status != health_pb2.HealthCheckResponse.SERVING:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server at {address} is not ready after {seconds} s")
            time.sleep(0.1)
