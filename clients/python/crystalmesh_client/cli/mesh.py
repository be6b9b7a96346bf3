"""`crystalmesh up`, `status`, `logs` and `down`: a mesh on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from crystalmesh_client.cli import exits

if TYPE_CHECKING:
    from crystalmesh_common.mesh.home import MeshHome, MeshLock
    from crystalmesh_common.mesh.session import Screen
    from crystalmesh_common.mesh.state import MeshRecord
    from crystalmesh_common.mesh.supervisor import MeshPlan

_POLL_SECONDS = 0.1
# Longer than a supervisor waits for its services to drain, and then for the kernel to end them.
_DOWN_SECONDS = 30.0


class Runtime(StrEnum):
    """What hosts the services."""

    STANDALONE = "standalone"
    RAY = "ray"


DetachOption = Annotated[
    bool, typer.Option("--detach", "-d", help="Return once all are ready, and leave them running.")
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on as the logs grow, until Ctrl-C.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def up(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services to run. Default: all that are installed.")
    ] = None,
    runtime: Annotated[
        Runtime, typer.Option(help="One process a service, or all of them on Ray Serve.")
    ] = Runtime.STANDALONE,
    detach: DetachOption = False,  # noqa: FBT002
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="TOML file of settings."),
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Run the mesh on this machine until Ctrl-C, and restart what crashes.

    Exit code 0: stopped as asked, or with --detach all ready; 2: a setting is wrong; 1: it failed otherwise.
    """
    with _errors_in_one_line():
        from crystalmesh_common.mesh.home import MeshHome, MeshLock  # noqa: PLC0415 -- so that --help is quick
        from crystalmesh_common.mesh.registry import select_services  # noqa: PLC0415
        from crystalmesh_common.mesh.session import run_mesh  # noqa: PLC0415
        from crystalmesh_common.mesh.supervisor import MeshPlan  # noqa: PLC0415

        home = MeshHome.of_this_user()
        plan = MeshPlan(select_services(services or ()), runtime.value, config)
        home.prepare()
        lock = MeshLock(home)
        screen = _screen(as_json=as_json)
        try:
            code = (_up_in_background if detach else run_mesh)(home, plan, screen, lock)
        finally:
            screen.close()
        _end(home, code, as_json=as_json)


def status(as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Ask every service of the running mesh for its health.

    Exit code 0: all are serving; 1: some are not; 4: no mesh is running.
    """
    with _errors_in_one_line():
        import asyncio  # noqa: PLC0415

        from rich.console import Console  # noqa: PLC0415

        from crystalmesh_common.mesh.home import MeshHome  # noqa: PLC0415
        from crystalmesh_common.mesh.probe import health_of  # noqa: PLC0415
        from crystalmesh_common.mesh.report import mesh_fields  # noqa: PLC0415
        from crystalmesh_common.mesh.screens import mesh_table  # noqa: PLC0415
        from crystalmesh_common.mesh.state import MeshRecord  # noqa: PLC0415

        home = MeshHome.of_this_user()
        record = MeshRecord.read(home.record)
        if record is None or home.running_pid() is None:
            _no_mesh(record, as_json=as_json)
        health = asyncio.run(health_of({name: s.endpoint for name, s in record.services.items()}))
        if as_json:
            typer.echo(json.dumps(mesh_fields(record, health)))
        else:
            Console().print(mesh_table(record, health))
        if any(answer != "serving" for answer in health.values()):
            raise typer.Exit(exits.FAILED)


def logs(
    service: Annotated[
        str | None,
        typer.Argument(help="Whose log; 'mesh' is the supervisor's of a detached mesh. Default: all."),
    ] = None,
    follow: FollowOption = False,  # noqa: FBT002
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log to begin with.")] = 50,
) -> None:
    """Print what the services logged, also those of a mesh that has ended.

    Exit code 2: no such service; 4: nothing was ever logged here.
    """
    with _errors_in_one_line():
        from crystalmesh_common.mesh import logs as mesh_logs  # noqa: PLC0415
        from crystalmesh_common.mesh.errors import MeshNotRunningError, MeshUsageError  # noqa: PLC0415
        from crystalmesh_common.mesh.home import MeshHome  # noqa: PLC0415

        home = MeshHome.of_this_user()
        found = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
        if not found:
            raise MeshNotRunningError(f"no mesh has run here yet: there are no logs in {home.logs}")
        if service is not None and service not in found:
            raise MeshUsageError(f"there is no log of {service!r}; there are {', '.join(found)}")
        chosen = {service: found[service]} if service else found
        prefix = f"{{:<{max(map(len, chosen))}}}  " if len(chosen) > 1 else ""
        growth = mesh_logs.follow(chosen) if follow else ()
        for name, path in chosen.items():
            for line in mesh_logs.last_lines(path, lines):
                typer.echo(prefix.format(name) + line)
        with suppress(KeyboardInterrupt):
            for name, line in growth:
                typer.echo(prefix.format(name) + line)


def down(as_json: JsonOption = False) -> None:  # noqa: FBT002
    """Stop the mesh that runs here, in the foreground or the background; again: at once.

    Exit code 0: none is running any more; 1: it has not ended within half a minute.
    """
    with _errors_in_one_line():
        from crystalmesh_common.mesh.errors import MeshError, MeshNotRunningError  # noqa: PLC0415
        from crystalmesh_common.mesh.home import MeshHome, MeshLock  # noqa: PLC0415
        from crystalmesh_common.mesh.session import ask_to_stop, clear_remains  # noqa: PLC0415

        home = MeshHome.of_this_user()
        try:
            pid = ask_to_stop(home)
        except MeshNotRunningError as none:
            if home.lock.exists():
                with MeshLock(home):
                    clear_remains(home)
            typer.echo(json.dumps({"stopped": None}) if as_json else str(none))
            return
        deadline = time.monotonic() + _DOWN_SECONDS
        while home.running_pid() == pid:
            if time.monotonic() > deadline:
                raise MeshError(f"the mesh (pid {pid}) is still stopping; `crystalmesh down` again kills it")
            time.sleep(_POLL_SECONDS)
        typer.echo(json.dumps({"stopped": pid}) if as_json else f"stopped the mesh (pid {pid})")


def _up_in_background(home: MeshHome, plan: MeshPlan, screen: Screen, lock: MeshLock) -> int:
    """Start the mesh, show it until all is ready, and leave it; Ctrl-C before that stops it."""
    from crystalmesh_common.mesh.errors import MeshError  # noqa: PLC0415
    from crystalmesh_common.mesh.home import SUPERVISOR_LOG  # noqa: PLC0415
    from crystalmesh_common.mesh.logs import last_words  # noqa: PLC0415
    from crystalmesh_common.mesh.session import start_in_background  # noqa: PLC0415
    from crystalmesh_common.mesh.state import MeshRecord  # noqa: PLC0415

    supervisor = start_in_background(home, plan, lock)
    try:
        while supervisor.poll() is None:
            record = MeshRecord.read(home.record)
            if record is not None and record.supervisor_pid == supervisor.pid:
                screen.show(record)
                if record.ready:
                    screen.say("running in the background: crystalmesh status, logs, down")
                    return exits.OK
            time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        screen.say("stopping")
        supervisor.terminate()
        supervisor.wait()
        return exits.INTERRUPTED
    if supervisor.returncode == exits.OK:
        screen.say("told to stop before all was ready")
    elif supervisor.returncode < 0:
        raise MeshError("the supervisor was killed before all was ready: `crystalmesh up` starts anew")
    elif MeshRecord.read(home.record) is None:
        raise MeshError(f"the supervisor ended unexpectedly: {last_words(home.log(SUPERVISOR_LOG), 0)}")
    return supervisor.returncode or exits.FAILED


def _end(home: MeshHome, code: int, *, as_json: bool) -> None:
    """Say how a mesh ended, why if it failed, and exit accordingly."""
    from crystalmesh_common.mesh.report import failure_lines, mesh_fields  # noqa: PLC0415
    from crystalmesh_common.mesh.state import MeshRecord  # noqa: PLC0415

    record = MeshRecord.read(home.record)
    if code not in {exits.OK, exits.INTERRUPTED} and record is not None:
        if as_json:
            typer.echo(json.dumps({**mesh_fields(record), "running": False}))
        for line in failure_lines(record, home):
            typer.echo(line, err=True)
    raise typer.Exit(code)


def _no_mesh(record: MeshRecord | None, *, as_json: bool) -> NoReturn:
    """Say that no mesh is running, and what became of the last one where that is known."""
    line = "no mesh is running here: `crystalmesh up` starts one"
    if record is not None and record.failed:
        reasons = "; ".join(f"{status.name}: {status.reason}" for status in record.failed)
        line = f"no mesh is running here; the last one failed: {reasons}"
    elif record is not None:
        line = f"no mesh is running here; the last one (pid {record.supervisor_pid}) was killed"
    if as_json:
        typer.echo(json.dumps({"running": False, "reason": line}))
    else:
        typer.echo(line, err=True)
    raise typer.Exit(exits.UNREACHABLE)


def _screen(*, as_json: bool) -> Screen:
    from rich.console import Console  # noqa: PLC0415

    from crystalmesh_common.mesh.screens import JsonScreen, LineScreen, TableScreen  # noqa: PLC0415

    console = Console()
    if as_json:
        return JsonScreen(console)
    moves = console.is_terminal and not console.is_dumb_terminal
    return TableScreen(console) if moves else LineScreen(console)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """End the command with the exit code of a MeshError, or tell how to install what is missing."""
    from crystalmesh_common.mesh.errors import MeshError  # noqa: PLC0415

    try:
        yield
    except MeshError as error:
        typer.echo(f"crystalmesh: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except ModuleNotFoundError as missing:
        if missing.name == "fcntl":
            typer.echo("crystalmesh: a mesh runs on Linux and macOS, not here", err=True)
        else:
            typer.echo(f"crystalmesh: {missing.name} is missing: pip install 'crystalmesh[server]'", err=True)
        raise typer.Exit(exits.FAILED) from None
