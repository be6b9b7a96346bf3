"""What commands over many crystals share: reading files, showing progress, reporting outcomes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, NoReturn, Protocol, Self, TypeVar

import typer

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import CrystalError, CrystalMeshError

if TYPE_CHECKING:
    from rich.table import Table

    from crystalmesh_client.batches import Named
    from crystalmesh_client.results import Failed
    from crystalmesh_common.crystal.structure import Crystal

FilesArgument = Annotated[
    list[Path], typer.Argument(help="CIF, POSCAR, or any file that ASE reads, with one or more crystals.")
]
ModelOption = Annotated[str, typer.Option(help="Potential to use. Default: the server's.")]
TimeoutOption = Annotated[float | None, typer.Option(help="Give up on a call after so many seconds.")]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Server to ask, HOST:PORT. Default: the mesh that runs here."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line and nothing else.")]
RelaxFirstOption = Annotated[
    bool,
    typer.Option("--relax/--as-is", help="Relax atoms and cell first, or take the crystals as they are."),
]
ClampedOption = Annotated[
    bool, typer.Option(help="Keep fractional coordinates instead of relaxing the atoms at each strain.")
]

Result = TypeVar("Result", bound="Named")
ResultIn_contra = TypeVar("ResultIn_contra", contravariant=True)


def usage_error(message: str) -> NoReturn:
    """End the command, which was typed wrongly."""
    typer.echo(f"crystalmesh: {message}", err=True)
    raise typer.Exit(exits.USAGE)


def read_files(files: Sequence[Path]) -> tuple[list[Crystal], list[Failed]]:
    """The crystals of all files, and the files that hold none. Ids are made distinct by the path."""
    from dataclasses import replace  # noqa: PLC0415

    from crystalmesh_client.results import Failed  # noqa: PLC0415
    from crystalmesh_common.crystal.files import read_crystals  # noqa: PLC0415 -- heavy

    crystals: dict[str, Crystal] = {}
    unreadable: list[Failed] = []
    for path in files:
        try:
            read = list(read_crystals(path))
        except CrystalMeshError as error:
            unreadable.append(Failed(str(path), error))
            continue
        except OSError as error:
            unreadable.append(Failed(str(path), CrystalError(f"cannot be read: {error.strerror}")))
            continue
        for position, crystal in enumerate(read):
            name = crystal.id if crystal.id not in crystals else f"{path}#{position}"
            crystals[name] = replace(crystal, id=name)
    return list(crystals.values()), unreadable


class Columns(Protocol[ResultIn_contra]):
    """How results of one kind are shown."""

    @property
    def names(self) -> Sequence[str]:
        """What stands above the columns."""
        ...

    def cells(self, result: ResultIn_contra) -> Iterable[str]:
        """One row of the table."""
        ...

    def fields(self, result: ResultIn_contra) -> dict[str, Any]:
        """One line of JSON."""
        ...


@dataclass
class Report(Generic[Result]):
    """Prints outcomes: as lines of JSON as they come, or as a table at the end with progress before."""

    columns: Columns[Result]
    as_json: bool
    doing: str  # "evaluating"
    steps_each: int = 1  # what a crystal counts for in the progress bar
    results: list[Result] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    _bar: _Progress | None = field(default=None, init=False, repr=False)

    def run(
        self,
        unreadable: Sequence[Failed],
        total: int,
        outcomes: Iterable[Result | Failed],
        then: Callable[[Result], None] | None = None,
    ) -> None:
        """Report everything; raises typer.Exit unless every crystal has a result."""
        from crystalmesh_client.results import Failed  # noqa: PLC0415

        self._fail(unreadable)
        with self._progress(total) as self._bar:
            for outcome in outcomes:
                self.reached(outcome.id, self.steps_each)
                if isinstance(outcome, Failed):
                    self._fail([outcome])
                    continue
                if then is not None:
                    then(outcome)
                self.results.append(outcome)
                if self.as_json:
                    typer.echo(json.dumps(self.columns.fields(outcome)))
        if not self.as_json:
            self._print_table()
        if self.failures:
            raise typer.Exit(self._failure_code())

    def reached(self, crystal_id: str, step: int) -> None:
        """Show that a crystal has come so far, out of `steps_each`."""
        if self._bar is not None:
            self._bar.reached(crystal_id, step)

    def table(self) -> Table | str:
        """The results for people: a row each."""
        from crystalmesh_client.cli.tables import plain_table  # noqa: PLC0415

        table = plain_table(*self.columns.names)
        for result in self.results:
            table.add_row(*self.columns.cells(result))
        return table

    def _failure_code(self) -> int:
        codes = {exits.exit_code(failed.error) for failed in self.failures}
        return exits.BUSY if codes == {exits.BUSY} else exits.BAD_INPUT

    def _fail(self, failures: Sequence[Failed]) -> None:
        self.failures += failures
        for failed in failures if self.as_json else ():
            error = {"reason": failed.error.reason, "message": str(failed.error), **failed.error.details}
            typer.echo(json.dumps({"id": failed.id, "error": error}))

    def _progress(self, total: int) -> _Progress:
        return _Progress(self.doing, total * self.steps_each, hidden=self.as_json)

    def _print_table(self) -> None:
        """A table of the results, and a line per problem, which no column of a terminal could hold."""
        from crystalmesh_client.cli.tables import standard_output  # noqa: PLC0415

        console = standard_output()
        if self.results:
            console.print(self.table(), markup=False, highlight=False)
        for failed in self.failures:
            reason = f"{failed.error.reason}: " if failed.error.reason else ""
            line = f"{failed.id}: {reason}{failed.error}"
            console.print(line, soft_wrap=True, markup=False, highlight=False)


class _Progress:
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self, doing: str, total: int, *, hidden: bool) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

        console = Console(stderr=True)
        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=console, transient=True, disable=hidden or not console.is_terminal
        )
        self._task = self._bar.add_task(doing, total=total)
        self._reached: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def reached(self, crystal_id: str, step: int) -> None:
        self._bar.advance(self._task, step - self._reached.get(crystal_id, 0))
        self._reached[crystal_id] = step

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
