"""What tests share: a few crystals, waiting without sleeping blindly, and services as real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from crystalmesh_common.crystal.structure import Crystal

TOKEN = "the-token-of-the-tests"
AUTHORIZATION = (("authorization", f"Bearer {TOKEN}"),)
MESSAGE_BYTES = 1024 * 1024
"""The message limit of the shared server: small, so that a message beyond it is quick to make."""

_FACE_CENTRED = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def pytest_configure() -> None:
    """Started in the background a shell has us ignore Ctrl-C, and so would all that tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def sodium_chloride(id: str = "NaCl", *, a: float = 5.69) -> Crystal:  # noqa: A002 -- its name in the API
    """Rock salt, the primitive cell of two atoms."""
    return Crystal(a * _FACE_CENTRED, np.array([11, 17]), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), id)


def silicon(id: str = "Si", *, shift: float = 0.0) -> Crystal:  # noqa: A002 -- its name in the API
    """Diamond silicon, two atoms; with a shift its second atom is off its site, and feels a force."""
    second = 0.25 + shift
    return Crystal(
        5.47 * _FACE_CENTRED, np.array([14, 14]), np.array([[0.0, 0, 0], [second, 0.25, 0.25]]), id
    )


def iron(id: str = "Fe") -> Crystal:  # noqa: A002 -- its name in the API
    """Ferromagnetic bcc iron, the cubic cell of two atoms."""
    sites = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])
    return Crystal(2.84 * np.eye(3), np.array([26, 26]), sites, id, magnetic_moments=np.array([2.2, 2.2]))


def lone_atom(id: str = "lone") -> Crystal:  # noqa: A002 -- its name in the API
    """One argon atom with nothing within 20 Å."""
    return Crystal(20.0 * np.eye(3), np.array([18]), np.zeros((1, 3)), id)


def block(id: str = "block", *, repeat: int = 3) -> Crystal:  # noqa: A002 -- its name in the API
    """Rock salt repeated along each axis of its primitive cell: 2 · repeat³ atoms."""
    unit = sodium_chloride()
    corners = np.stack(np.meshgrid(*[np.arange(repeat)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = ((unit.frac_coords + corners) / repeat).reshape(-1, 3)
    return Crystal(unit.cell * repeat, np.tile(unit.numbers, repeat**3), sites, id)


def copies(crystal: Crystal, count: int) -> list[Crystal]:
    """The crystal under `count` ids."""
    return [replace(crystal, id=f"{crystal.id}-{number}") for number in range(count)]


def until(condition: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """Return once the condition holds; fail after a generous while."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


async def eventually(condition: Callable[[], bool], what: str, *, seconds: float = 60.0) -> None:
    """The same on an event loop."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.005)


class ServiceProcess:
    """`python -m crystalmesh_<service>`, with its log and endpoint file in a folder of its own."""

    def __init__(
        self, folder: Path, *arguments: str, service: str = "relaxation", module: str = "", **variables: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._endpoint_file = folder / "endpoint.json"
        self._endpoint_file.unlink(missing_ok=True)
        self._log_file = folder / "log"
        ours = {key: value for key, value in os.environ.items() if not key.startswith("CRYSTALMESH_")}
        command = [
            sys.executable,
            "-m",
            module or f"crystalmesh_{service}",
            "--endpoint-file",
            str(self._endpoint_file),
        ]
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *arguments], stdout=log, stderr=log, env=ours | variables
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._log_file.read_text()

    @property
    def endpoint(self) -> dict[str, object]:
        return dict(json.loads(self._endpoint_file.read_text()))

    @property
    def address(self) -> str:
        return str(self.endpoint["address"])

    def wait_listening(self) -> None:
        until(lambda: self._alive() and self._endpoint_file.exists(), "the endpoint file")

    def wait_serving(self) -> None:
        """Return once `grpc.health.v1` says SERVING."""
        self.wait_listening()
        with grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            serving = health_pb2.HealthCheckResponse.SERVING

            def is_serving() -> bool:
                answer = check(health_pb2.HealthCheckRequest(), timeout=30, wait_for_ready=True)
                return self._alive() and bool(answer.status == serving)

            until(is_serving, "SERVING", seconds=120)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name whose labels include these."""
        with urllib.request.urlopen(f"http://{self.endpoint['metrics_address']}/metrics", timeout=30) as page:
            families = text_string_to_metric_families(page.read().decode())
            return sum(
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == name and labels.items() <= sample.labels.items()
            )

    def terminate(self) -> int:
        """Ask it to stop, and its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """SIGKILL, by its own pid."""
        self.process.kill()
        self.process.wait(timeout=60)

    def _alive(self) -> bool:
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log[-2000:]}"
        return True


StartService = Callable[..., ServiceProcess]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts services as processes, with flags and variables; kills what is left of them at the end."""
    started: list[ServiceProcess] = []

    def start(*arguments: str, service: str = "relaxation", **variables: str) -> ServiceProcess:
        folder = tmp_path / f"{service}-{len(started)}"
        started.append(ServiceProcess(folder, *arguments, service=service, **variables))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def salts(folder: Path) -> Path:
    """The description of a small reference in CHGNet's scheme: `salts`, of sodium, chlorine and silicon."""
    (folder / "salts.csv").write_text(
        "id,formula,formation_energy_ev_per_atom\nsalt,NaCl,-2.1\nodd,NaCl3,-0.9\ntetra,SiCl4,-1.2\n"
    )
    description = {
        "name": "salts",
        "table": "salts.csv",
        "kind": "model",
        "model": "chgnet-0.3.0",
        "energy_scheme": "MP2020",
        "attribution": "the tests",
        "elemental_energies": {"chgnet-0.3.0": {"Na": -1.31, "Cl": -1.84, "Si": -5.42}},
    }
    path = folder / "salts.json"
    path.write_text(json.dumps(description))
    return path


def oxides(folder: Path) -> Path:
    """The description of a small reference in another scheme, of which no potential knows the elements."""
    (folder / "oxides.csv").write_text("id,formula,formation_energy_ev_per_atom\nmagnesia,MgO,-3.0\n")
    description = {"name": "oxides", "table": "oxides.csv", "kind": "dft", "energy_scheme": "PBE"}
    path = folder / "oxides.json"
    path.write_text(json.dumps(description))
    return path


@pytest.fixture(scope="session")
def relaxation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The relaxation service with CHGNet loaded, shared by all tests. It asks for TOKEN."""
    folder = tmp_path_factory.mktemp("relaxation")
    server = ServiceProcess(
        folder,
        *("--limits.message-bytes", str(MESSAGE_BYTES), "--threads", "1"),
        *("--references", f"{salts(folder)},{oxides(folder)}"),
        CRYSTALMESH_TOKEN=TOKEN,
    )
    try:
        server.wait_serving()
        yield server
    finally:
        server.kill()


@pytest.fixture(autouse=True)
def _no_mesh_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests find no mesh, token or certificate but those that they make themselves."""
    for variable in [name for name in os.environ if name.startswith("CRYSTALMESH_")]:
        if variable != "CRYSTALMESH_DATA":
            monkeypatch.delenv(variable)
    monkeypatch.setenv("CRYSTALMESH_HOME", str(tmp_path / "mesh-home"))
