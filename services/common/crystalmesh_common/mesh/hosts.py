"""The processes of a mesh: what each is started with, and one run of it from start to end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from crystalmesh_client.endpoints import Endpoint
from crystalmesh_common.mesh.home import MeshHome
from crystalmesh_common.mesh.logs import last_words, open_log
from crystalmesh_common.mesh.registry import MeshService
from crystalmesh_common.mesh.restarts import Exit

CONFIG_FILE_VARIABLE = "CRYSTALMESH_CONFIG"
RAY_MODULE = "crystalmesh_common.runtime.ray"
STANDALONE, RAY = RUNTIMES = ("standalone", "ray")

_POLL_SECONDS = 0.05
# What a process that was told to end, or killed, printed before has nothing to do with its end.
_SILENT_EXITS = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


@dataclass(frozen=True)
class Host:
    """A program that hosts services: one service on its own, or all of them on Ray Serve."""

    name: str  # of its log and endpoint file
    module: str
    services: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    def command(self, home: MeshHome, previous: Endpoint | None) -> list[str]:
        """How to start it; on the ports of `previous`, so that clients find it where it was."""
        command = [sys.executable, "-m", self.module, *self.arguments]
        command += ["--parent-pid", str(os.getpid()), "--endpoint-file", str(home.endpoint_file(self.name))]
        if previous is not None:
            command += ["--port", _port(previous.address)]
            if previous.metrics_address:
                command += ["--metrics-port", _port(previous.metrics_address)]
        return command


def hosts_of(services: Sequence[MeshService], runtime: str) -> list[Host]:
    """The processes that host `services`."""
    if runtime == RAY:
        names = tuple(service.name for service in services)
        return [Host(RAY, RAY_MODULE, names, ("--services", ",".join(names)))]
    return [Host(service.name, service.module, (service.name,)) for service in services]


class HostProcess:
    """One run of a host, in a session of its own: a Ctrl-C at the terminal is for the supervisor alone."""

    def __init__(
        self, host: Host, home: MeshHome, process: asyncio.subprocess.Process, log_start: int
    ) -> None:
        self._name = host.name
        self._endpoint_file = home.endpoint_file(host.name)
        self._log = home.log(host.name)
        self._log_start = log_start
        self._process = process
        self.started = time.monotonic()
        self.ready_since: float | None = None

    @classmethod
    async def start(cls, host: Host, home: MeshHome, previous: Endpoint | None, config: Path | None) -> Self:
        """Start it with its output going to its log; OSError when the system refuses."""
        home.endpoint_file(host.name).unlink(missing_ok=True)
        with open_log(home.log(host.name)) as log:
            log_start = log.tell()
            process = await asyncio.create_subprocess_exec(
                *host.command(home, previous),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(config),
                start_new_session=True,
            )
        return cls(host, home, process, log_start)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def listening(self) -> Endpoint:
        """Where it listens, as soon as it does."""
        while (endpoint := _read_endpoint(self._endpoint_file)) is None:  # noqa: ASYNC110 -- only a file tells
            await asyncio.sleep(_POLL_SECONDS)
        return endpoint

    async def ended(self) -> Exit:
        """Wait for its end, and clear away what it started and left behind."""
        code = await self._process.wait()
        self.kill()
        served = None if self.ready_since is None else time.monotonic() - self.ready_since
        words = "" if code in _SILENT_EXITS else last_words(self._log, self._log_start)
        return Exit(code, words.removeprefix(f"crystalmesh {self._name}: "), served)

    def ask_to_stop(self) -> None:
        """SIGTERM: it drains and ends."""
        if self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to it and to all that it started, unless they made sessions of their own."""
        with suppress(ProcessLookupError, PermissionError):  # nothing left of it; macOS says the latter
            os.killpg(self.pid, signal.SIGKILL)


def _read_endpoint(path: Path) -> Endpoint | None:
    """What a host wrote of itself; None before it did."""
    try:
        fields = json.loads(path.read_text())
        metrics = fields.get("metrics_address") or None
        return Endpoint(
            _reachable(fields["address"]), bool(fields.get("tls")), metrics and _reachable(metrics)
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _reachable(address: str) -> str:
    """All interfaces are a place to listen, and not one to connect to."""
    host, _, port = address.rpartition(":")
    return f"{ {'0.0.0.0': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"  # noqa: S104


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _environment(config: Path | None) -> Mapping[str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if config is not None:
        environment[CONFIG_FILE_VARIABLE] = str(config.resolve())
    return environment
