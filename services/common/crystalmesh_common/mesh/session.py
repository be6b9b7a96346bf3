"""From a plan to a mesh that runs until it is told to stop, in this process or in the background."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import ParamSpec, Protocol

import psutil

from crystalmesh_common.mesh.errors import MeshError, MeshNotRunningError
from crystalmesh_common.mesh.home import SUPERVISOR_LOG, MeshHome, MeshLock
from crystalmesh_common.mesh.logs import open_log
from crystalmesh_common.mesh.restarts import BAD_SETTINGS
from crystalmesh_common.mesh.state import MeshRecord
from crystalmesh_common.mesh.supervisor import MeshPlan, Supervisor

Shown = ParamSpec("Shown")

KILLED_EXIT_CODE = 130  # told twice to stop
_TICK_SECONDS = 0.25
_ORPHAN_SECONDS = 2.0


class Screen(Protocol):
    """Shows a mesh to a person or a program."""

    def show(self, record: MeshRecord) -> None:
        """Called at every change."""

    def tick(self) -> None:
        """Called several times a second."""

    def say(self, line: str) -> None:
        """Called with what is not a state of the mesh."""

    def close(self) -> None:
        """Called at the end, more than once perhaps."""


def run_mesh(home: MeshHome, plan: MeshPlan, screen: Screen, lock: MeshLock) -> int:
    """Run a mesh until SIGINT, SIGTERM or SIGHUP, and then drain it; a second signal kills it.

    The exit status: 0 stopped as asked, 1 failed, 2 failed for its settings, 130 killed.
    """
    with lock:
        clear_remains(home)
        return asyncio.run(_run(home, plan, screen))


async def _run(home: MeshHome, plan: MeshPlan, screen: Screen) -> int:
    supervisor = Supervisor(home, plan, _undisturbed(screen.show))
    say = _undisturbed(screen.say)
    killed = asyncio.Event()

    def on_signal() -> None:
        if supervisor.stopping:
            killed.set()
        supervisor.stop()
        say("killing what is left" if killed.is_set() else "stopping; once more to stop at once")

    def on_hangup() -> None:
        if not supervisor.stopping:  # a terminal that closes may send several
            on_signal()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, on_signal)
    loop.add_signal_handler(signal.SIGTERM, on_signal)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    ticking = asyncio.create_task(_tick(_undisturbed(screen.tick)))
    try:
        stopped_as_asked = await supervisor.run()
    finally:
        ticking.cancel()
    if stopped_as_asked:
        say("stopped")
        return KILLED_EXIT_CODE if killed.is_set() else 0
    return failure_exit_code(supervisor.record)


def _undisturbed(show: Callable[Shown, None]) -> Callable[Shown, None]:
    """The same, but a terminal that has gone away does not disturb what it showed."""

    @wraps(show)
    def show_if_possible(*shown: Shown.args, **named: Shown.kwargs) -> None:
        with suppress(OSError, SystemExit):  # rich exits when the reader of its pipe has gone
            show(*shown, **named)

    return show_if_possible


async def _tick(tick: Callable[[], None]) -> None:
    while True:
        tick()
        await asyncio.sleep(_TICK_SECONDS)


def failure_exit_code(record: MeshRecord) -> int:
    """2 when a person has to change settings, 1 otherwise."""
    return BAD_SETTINGS if any(s.exit_code == BAD_SETTINGS for s in record.failed) else 1


def start_in_background(home: MeshHome, plan: MeshPlan, lock: MeshLock) -> subprocess.Popen[bytes]:
    """Run the mesh in a process that outlives this one and its terminal; it takes the lock over."""
    command = [sys.executable, "-m", "crystalmesh_common.mesh"]
    command += ["--runtime", plan.runtime, "--lock-descriptor", str(lock.descriptor)]
    if plan.config is not None:
        command += ["--config", str(plan.config)]
    with lock, open_log(home.log(SUPERVISOR_LOG)) as log:
        process = subprocess.Popen(
            [*command, *(service.name for service in plan.services)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock.descriptor],
            start_new_session=True,
        )
        lock.claim(process.pid)
    return process


def ask_to_stop(home: MeshHome) -> int:
    """Signal the supervisor that runs here, and answer its pid.

    MeshNotRunningError when there is none; MeshError when the pid belongs to something else.
    """
    pid = home.running_pid()
    if pid is None:
        raise MeshNotRunningError("no mesh is running here")
    try:
        supervisor = psutil.Process(pid)
        if not any("crystalmesh" in part for part in supervisor.cmdline()):
            raise MeshError(
                f"the mesh should have pid {pid}, which is no supervisor of CrystalMesh: left alone"
            )
        supervisor.terminate()
    except psutil.AccessDenied:
        raise MeshError(f"the mesh (pid {pid}) belongs to another user") from None
    except (psutil.NoSuchProcess, ValueError):
        raise MeshNotRunningError("no mesh is running here") from None
    return pid


def clear_remains(home: MeshHome) -> None:
    """Remove what a mesh left behind whose supervisor was killed; only for who holds the lock."""
    record = MeshRecord.read(home.record)
    for path in (home.endpoint_map, home.record):
        path.unlink(missing_ok=True)
    if record is None:
        return
    orphans = [orphan for s in record.services.values() if (orphan := _orphan(s.pid, record.supervisor_pid))]
    for orphan in orphans:
        with suppress(psutil.NoSuchProcess):
            orphan.terminate()
    _, alive = psutil.wait_procs(orphans, timeout=_ORPHAN_SECONDS)
    for orphan in alive:
        with suppress(psutil.NoSuchProcess):
            orphan.kill()


def _orphan(pid: int | None, supervisor_pid: int) -> psutil.Process | None:
    """The process of this pid if that supervisor started it."""
    try:
        process = psutil.Process(pid or 0)
        command = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if f"--parent-pid {supervisor_pid} " in " ".join(command) else None
