"""How a mesh looks on a terminal, in a pipe, and to a program."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from crystalmesh_common.mesh.report import mesh_fields, ready_line
from crystalmesh_common.mesh.state import MeshRecord, ServiceStatus, State

_STYLES = {
    State.STARTING: "yellow",
    State.LOADING: "yellow",
    State.READY: "green",
    State.UNHEALTHY: "red",
    State.RESTARTING: "red",
    State.FAILED: "bold red",
}
_NEWS = (State.READY, State.UNHEALTHY, State.RESTARTING, State.FAILED)


class LineScreen:
    """One line for each event worth knowing, and no control codes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: MeshRecord | None = None
        self._announced = False

    def show(self, record: MeshRecord) -> None:
        if self._shown is None:
            self.say(f"starting {', '.join(record.services)}")
        for status in record.services.values():
            before = self._shown.services[status.name].state if self._shown else State.STARTING
            if status.state is not before and status.state in _NEWS:
                self.say(f"{status.name:<10}  {_news(status)}")
        self._shown = record
        self._announce(record)

    def tick(self) -> None:
        """Lines do not move."""

    def say(self, line: str) -> None:
        stamp = datetime.now(tz=UTC).astimezone().strftime("%H:%M:%S")
        self._console.print(Text(f"{stamp}  {line}"), soft_wrap=True)

    def close(self) -> None:
        """Nothing to restore."""

    def continue_from(self, record: MeshRecord) -> None:
        """Take over from another screen that has shown this."""
        self._shown, self._announced = record, True

    def _announce(self, record: MeshRecord) -> None:
        if record.ready and not self._announced:
            self._announced = True
            self.say(ready_line(record))


class TableScreen:
    """A table that follows the mesh until all is ready; then one line for each event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = LineScreen(console)
        self._record: MeshRecord | None = None
        self._booting = True
        self._live = Live(console=console, auto_refresh=False)

    def show(self, record: MeshRecord) -> None:
        if not self._booting:
            self._lines.show(record)
            return
        self._record = record
        self.tick()
        if record.ready:
            self.close()
            self._lines.continue_from(record)
            self._console.print(Text(ready_line(record), style="green"))

    def tick(self) -> None:
        if not self._booting or self._record is None:
            return
        self._live.start()
        self._live.update(mesh_table(self._record), refresh=True)

    def say(self, line: str) -> None:
        self._console.print(Text(line), style="dim")

    def close(self) -> None:
        """Leave the table as it is and give the terminal back."""
        self._booting = False
        self._live.stop()


class JsonScreen:
    """The mesh as one JSON object on one line once all is ready, and nothing else."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed = False

    def show(self, record: MeshRecord) -> None:
        if record.ready and not self._printed:
            self._printed = True
            print(json.dumps(mesh_fields(record)), file=self._console.file, flush=True)

    def tick(self) -> None:
        """JSON does not move."""

    def say(self, line: str) -> None:
        """Only the mesh is printed."""

    def close(self) -> None:
        """Nothing to restore."""


def mesh_table(record: MeshRecord, health: dict[str, str] | None = None) -> Table:
    """The services of a mesh; 80 columns are enough. With `health`, what each answered just now."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("service", no_wrap=True)
    table.add_column("state", no_wrap=True, min_width=11)
    table.add_column("address", overflow="fold", min_width=15)
    for name, width in (("pid", 7), ("restarts", 8), ("since", 6), ("ready in", 8)):
        table.add_column(name, no_wrap=True, justify="right", min_width=width)
    now = time.time()
    for status in record.services.values():
        state, style = str(status.state), _STYLES.get(status.state, "dim")
        if health is not None and status.state is State.READY and health[status.name] != "serving":
            state, style = health[status.name], "red"
        table.add_row(
            status.name,
            Text(state, style=style),
            status.endpoint.address if status.endpoint else "",
            str(status.pid or ""),
            str(status.restarts),
            _elapsed(now - status.since),
            f"{status.ready_seconds:.1f} s" if status.ready_seconds else "",
        )
    # While a mesh boots, a service that fails ends it, and the reason is told at the end.
    quiet = {State.READY, State.STOPPED} if health is not None else {State.READY, State.STOPPED, State.FAILED}
    troubled = [s for s in record.services.values() if s.reason and s.state not in quiet]
    table.caption = Text("\n".join(f"{s.name}: {s.reason}" for s in troubled), style="red not italic")
    table.caption_justify = "left"
    return table


def _news(status: ServiceStatus) -> str:
    if status.state is State.READY and status.endpoint:
        seconds = f", {status.ready_seconds:.1f} s" if status.ready_seconds else ""
        return f"ready at {status.endpoint.address} (pid {status.pid}{seconds})"
    return f"{status.state}: {status.reason}" if status.reason else str(status.state)


def _elapsed(seconds: float) -> str:
    seconds = max(seconds, 0)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
