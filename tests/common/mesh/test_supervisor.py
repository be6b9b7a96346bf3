"""The real supervisor with real services and, where it must fail, with programs that do."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from crystalmesh_client.connection import translated_errors
from crystalmesh_client.endpoints import read_endpoint_map
from crystalmesh_common.mesh.errors import MeshUsageError
from crystalmesh_common.mesh.home import MeshHome
from crystalmesh_common.mesh.hosts import RAY, hosts_of
from crystalmesh_common.mesh.probe import health_of
from crystalmesh_common.mesh.registry import MeshService, find_service
from crystalmesh_common.mesh.restarts import RestartPolicy
from crystalmesh_common.mesh.state import MeshRecord, ServiceStatus, State
from crystalmesh_common.mesh.supervisor import MeshPlan, Supervisor
from crystalmesh_common.runtime.errors import NotImplementedYetError

PATIENCE_SECONDS = 40.0
QUICK = RestartPolicy(first_delay_seconds=0.05, longest_delay_seconds=0.2, tries=3)


@dataclass
class Watched:
    """A supervisor that runs, and all that it reported."""

    home: MeshHome
    supervisor: Supervisor
    running: asyncio.Task[bool]
    records: list[MeshRecord] = field(default_factory=list)

    async def until(self, condition: Callable[[MeshRecord], bool]) -> MeshRecord:
        """Wait for a record from now on that fulfils the condition."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition(self.supervisor.record):
            assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {self.supervisor.record}"
            assert not self.running.done(), f"the mesh ended: {self.supervisor.record}"
            await asyncio.sleep(0.02)
        return self.supervisor.record

    async def status(self, service: str, state: State) -> ServiceStatus:
        """Wait until a service is in a state."""
        record = await self.until(lambda record: record.services[service].state is state)
        return record.services[service]

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.running, PATIENCE_SECONDS)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MeshHome:
    for variable in [name for name in os.environ if name.startswith("CRYSTALMESH_")]:
        monkeypatch.delenv(variable)
    home = MeshHome(tmp_path / "mesh")
    home.prepare()
    return home


@asynccontextmanager
async def supervised(
    home: MeshHome, *services: MeshService, config: Path | None = None, drain_seconds: float = 20.0
) -> AsyncIterator[Watched]:
    """A mesh of these services, stopped at the end."""
    records: list[MeshRecord] = []
    plan = MeshPlan(services, config=config, restarts=QUICK, drain_seconds=drain_seconds)
    supervisor = Supervisor(home, plan, records.append)
    watched = Watched(home, supervisor, asyncio.create_task(supervisor.run()), records)
    try:
        yield watched
    finally:
        if not watched.running.done():
            supervisor.stop()
            await watched.ended()
    for before, after in pairwise(records):
        for name, status in after.services.items():
            changed = status.state is not before.services[name].state
            assert (status.since > before.services[name].since) == changed, (
                "since when is not when it changed"
            )


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], MeshService]:
    """Makes a service out of a script, under the name of one that there is."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(script: str) -> MeshService:
        (tmp_path / "program_under_test.py").write_text(script)
        return MeshService("agent", "program_under_test", (), "a test")

    return make


@pytest.fixture
def certificate(home: MeshHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives all services a certificate that nobody signed."""
    certificate, key = home.root / "tls.pem", home.root / "tls.key"
    request = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2"
    about = "-subj /CN=mesh -addext subjectAltName=DNS:mesh.example"
    command = [*request.split(), *about.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("CRYSTALMESH_TLS_CERTIFICATE", str(certificate))
    monkeypatch.setenv("CRYSTALMESH_TLS_KEY", str(key))


PLANNED_METHODS = {"agent": "/crystalmesh.agent.v1.StudyService/ListStudies"}
# The lightest service there is.
LIGHT = find_service("agent")
RETRIEVAL = find_service("retrieval")


async def test_a_mesh_from_its_start_to_its_end(home: MeshHome) -> None:
    """Services become ready, clients find them by the map, and nothing is left after the stop."""
    async with supervised(home, RETRIEVAL, LIGHT) as mesh:
        record = await mesh.until(lambda record: record.ready)
        endpoints = read_endpoint_map(home.endpoint_map)
        assert endpoints.supervisor_pid == os.getpid()
        assert {n: s.endpoint for n, s in record.services.items()} == dict(endpoints.services)
        assert MeshRecord.read(home.record) == record
        pids = [status.pid for status in record.services.values()]
        mesh.supervisor.stop()
        assert await mesh.ended()
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    assert not home.endpoint_map.exists()
    assert not home.record.exists()
    assert list((home.root / "run").iterdir()) == []


async def test_a_killed_service_comes_back_where_it_was(home: MeshHome) -> None:
    """After kill -9 a service has a new process on its old address, and the others never noticed."""
    async with supervised(home, RETRIEVAL, LIGHT) as mesh:
        before = await mesh.until(lambda record: record.ready)
        os.kill(before.services["agent"].pid or 0, signal.SIGKILL)
        record = await mesh.until(lambda record: record.ready and record.services["agent"].restarts == 1)
        was, now = before.services["agent"], record.services["agent"]
        assert now.endpoint == was.endpoint
        assert now.pid != was.pid
        assert (now.exit_code, now.reason) == (-signal.SIGKILL, "killed by SIGKILL")
        assert record.services["retrieval"] == before.services["retrieval"]
        assert read_endpoint_map(home.endpoint_map).services["agent"] == was.endpoint


async def test_a_service_that_hangs_is_unhealthy_until_it_answers(
    home: MeshHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health is followed as long as a service runs; one that does not answer is told, and not killed."""
    monkeypatch.setattr("crystalmesh_common.mesh.supervision._READY_POLL_SECONDS", 0.02)
    async with supervised(home, LIGHT) as mesh:
        pid = (await mesh.until(lambda record: record.ready)).services["agent"].pid or 0
        os.kill(pid, signal.SIGSTOP)
        try:
            await mesh.status("agent", State.UNHEALTHY)
        finally:
            os.kill(pid, signal.SIGCONT)
        status = await mesh.status("agent", State.READY)
        assert (status.pid, status.restarts) == (pid, 0)


async def test_a_service_whose_port_was_taken_moves(home: MeshHome) -> None:
    """When somebody takes the port of a crashed service, it comes back on another, and the map follows."""
    async with supervised(home, LIGHT) as mesh:
        status = (await mesh.until(lambda record: record.ready)).services["agent"]
        assert status.endpoint is not None
        port = int(status.endpoint.address.rpartition(":")[2])
        os.kill(status.pid or 0, signal.SIGKILL)
        with _taken(port):
            record = await mesh.until(lambda r: r.ready and r.services["agent"].pid != status.pid)
            moved = record.services["agent"].endpoint
            assert moved is not None
            assert moved.address != status.endpoint.address
            assert read_endpoint_map(home.endpoint_map).services["agent"] == moved


def _taken(port: int) -> socket.socket:
    """Listen on the port as soon as its owner is gone; no await, so that the supervisor is not faster."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline, "the port did not become free"


async def test_a_service_that_always_fails_is_given_up_with_its_reason(
    home: MeshHome, program: Callable[[str], MeshService]
) -> None:
    """Failing at once again and again in the same way ends a mesh that boots, and says why."""
    service = program("raise ImportError('no module of this name')")
    async with supervised(home, service) as mesh:
        assert not await mesh.ended()
    status = mesh.supervisor.record.services["agent"]
    assert status.state is State.FAILED
    assert status.reason == "failed at once 3 times in a row, exit 1: ImportError: no module of this name"
    assert status.restarts == 2
    assert MeshRecord.read(home.record) == mesh.supervisor.record  # kept for who asks what happened
    assert not home.endpoint_map.exists()


async def test_a_service_that_fails_later_leaves_the_others_running(home: MeshHome, tmp_path: Path) -> None:
    """Once all were ready, one that cannot be started any more does not take the mesh down."""
    config = tmp_path / "mesh.toml"
    config.write_text("")
    async with supervised(home, RETRIEVAL, LIGHT, config=config) as mesh:
        before = await mesh.until(lambda record: record.ready)
        config.write_text("[agent]\ndrain_seconds = 'long'\n")
        os.kill(before.services["agent"].pid or 0, signal.SIGKILL)
        status = await mesh.status("agent", State.FAILED)
        assert "drain_seconds: Input should be a valid number" in (status.reason or "")
        assert mesh.supervisor.record.services["retrieval"] == before.services["retrieval"]
        mesh.supervisor.stop()
        assert await mesh.ended()


async def test_bad_settings_are_not_tried_again(home: MeshHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that cannot be used ends the mesh at the first try, with the line that tells of it."""
    monkeypatch.setenv("CRYSTALMESH_AGENT_HOST", "192.0.2.1")
    async with supervised(home, RETRIEVAL, LIGHT) as mesh:
        assert not await mesh.ended()
    (failed,) = mesh.supervisor.record.failed
    assert (failed.name, failed.exit_code, failed.restarts) == ("agent", 2, 0)
    assert "host 192.0.2.1 is not loopback: set tokens_file" in (failed.reason or "")
    assert mesh.supervisor.record.services["retrieval"].state is State.STOPPED


async def test_one_that_does_not_drain_is_killed(
    home: MeshHome, program: Callable[[str], MeshService]
) -> None:
    """A process that ignores SIGTERM, and what it started, are gone after the time to drain."""
    service = program(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    async with supervised(home, service, drain_seconds=0.2) as mesh:
        log = home.log("agent")
        await mesh.until(lambda _: log.exists() and log.read_text().startswith("child"))
        mesh.supervisor.stop()
        assert await mesh.ended()
    child = int(log.read_text().split()[1])
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


async def test_a_second_order_to_stop_does_not_wait(
    home: MeshHome, program: Callable[[str], MeshService]
) -> None:
    """Told twice, the supervisor kills instead of waiting for the drain."""
    service = program(
        "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(600)"
    )
    async with supervised(home, service, drain_seconds=600) as mesh:
        log = home.log("agent")
        await mesh.until(lambda _: log.exists() and log.read_text() != "")
        mesh.supervisor.stop()
        mesh.supervisor.stop()
        assert await mesh.ended()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
@pytest.mark.usefixtures("certificate")
async def test_a_mesh_with_tls(home: MeshHome) -> None:
    """A service with a certificate of its own, for any name, is seen to be ready, and the map says TLS."""
    async with supervised(home, LIGHT) as mesh:
        await mesh.until(lambda record: record.ready)
        endpoints = read_endpoint_map(home.endpoint_map).services
        assert endpoints["agent"].tls
        assert await health_of(endpoints) == {"agent": "serving"}


async def test_planned_methods_say_so(home: MeshHome) -> None:
    """What comes later answers UNIMPLEMENTED with the reason NOT_IMPLEMENTED_YET."""
    services = [find_service(name) for name in PLANNED_METHODS]
    async with supervised(home, *services) as mesh:
        await mesh.until(lambda record: record.ready)
        endpoints = read_endpoint_map(home.endpoint_map).services
        for name, method in PLANNED_METHODS.items():
            async with grpc.aio.insecure_channel(endpoints[name].address) as channel:
                call: Any = channel.unary_unary(method)
                with pytest.raises(NotImplementedYetError) as refused, translated_errors():
                    await call(b"")
                assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED
                assert refused.value.reason == "NOT_IMPLEMENTED_YET"


def test_on_ray_one_process_hosts_all(home: MeshHome) -> None:
    """The runtime ray is one process that is told which services to host, supervised like any other."""
    (host,) = hosts_of([RETRIEVAL, LIGHT], RAY)
    assert host.services == ("retrieval", "agent")
    command = host.command(home, previous=None)
    assert command[1:5] == ["-m", "crystalmesh_common.runtime.ray", "--services", "retrieval,agent"]
    assert command[5:] == ["--parent-pid", str(os.getpid()), "--endpoint-file", f"{home.root}/run/ray.json"]


def test_a_runtime_that_is_not_installed_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for Ray without having it names what to install."""
    monkeypatch.setattr("crystalmesh_common.mesh.supervisor.find_spec", lambda _: None)
    with pytest.raises(MeshUsageError, match=r"crystalmesh\[ray\]"):
        MeshPlan([LIGHT], RAY)
