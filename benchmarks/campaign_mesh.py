"""A mesh of its own for campaigns, started and stopped as users do, with what its processes spend."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from crystalmesh_client import Mesh
from crystalmesh_common.mesh.home import MeshHome
from crystalmesh_common.mesh.state import MeshRecord

HOME = "CRYSTALMESH_HOME"
RUNNING = "CRYSTALMESH_BENCH_HOME"
"""The home of a mesh that runs already, to measure it in the place of one that is started anew."""


@dataclass(frozen=True)
class CampaignMesh:
    """A mesh of all five services."""

    client: Mesh
    processes: Mapping[str, psutil.Process]  # by service

    @contextmanager
    def cores_apart(self, service: str) -> Iterator[None]:
        """One service has half of the cores to itself, the others have the rest. Linux, two cores."""
        cores = sorted(os.sched_getaffinity(0))
        half = len(cores) // 2
        if not half:
            raise OSError("there is one core only")
        for name, process in self.processes.items():
            _pin(process, cores[:half] if name == service else cores[half:])
        try:
            yield
        finally:
            for process in self.processes.values():
                _pin(process, cores)

    def cpu_seconds(self) -> dict[str, float]:
        """What each service has spent so far, with the processes that it started, those that ended too."""
        return {name: _spent(process) for name, process in self.processes.items()}


@contextmanager
def campaign_mesh() -> Iterator[CampaignMesh]:
    """A mesh in a new folder, all its services ready; it is stopped at the end."""
    if running := os.environ.get(RUNNING):
        with _in_home(Path(running)):
            yield from _reached(Path(running))
        return
    command = [sys.executable, "-m", "crystalmesh_client.cli"]
    with tempfile.TemporaryDirectory() as home, _in_home(Path(home)):
        try:
            subprocess.run([*command, "up", "--detach"], check=True, stdout=subprocess.DEVNULL)
            yield from _reached(Path(home))
        finally:
            subprocess.run([*command, "down"], check=True, stdout=subprocess.DEVNULL)


def _reached(home: Path) -> Iterator[CampaignMesh]:
    record = MeshRecord.read(MeshHome(home).record)
    if record is None:
        raise FileNotFoundError(f"no mesh runs in {home}")
    processes = {name: psutil.Process(status.pid) for name, status in record.services.items() if status.pid}
    with Mesh() as client:
        yield CampaignMesh(client, processes)


def _pin(process: psutil.Process, cores: Sequence[int]) -> None:
    """All threads that there are, of its children too; new ones follow them."""
    for each in (process, *process.children(recursive=True)):
        for thread in each.threads():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, cores)


def _spent(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:4]) for each in family)


@contextmanager
def _in_home(home: Path) -> Iterator[None]:
    """Clients and commands take the mesh of this folder for the one of this machine."""
    before = os.environ.get(HOME)
    os.environ[HOME] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ[HOME]
        else:
            os.environ[HOME] = before
