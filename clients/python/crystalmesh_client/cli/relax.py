"""`crystalmesh relax FILE…`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.outputs import OutputFolder, PlotOption, draw
from crystalmesh_client.cli.reports import (
    AddressOption,
    FilesArgument,
    JsonOption,
    ModelOption,
    Report,
    TimeoutOption,
    read_files,
    usage_error,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crystalmesh_client.results import Failed, Relaxation
    from crystalmesh_client.trajectories import RelaxationFrame, RelaxationTrajectory

DEFAULT_MAX_FORCE = 0.05
"""The server's, in eV/Å; the picture shows where it lies."""


class Cell(StrEnum):
    """What of the cell may move."""

    FULL = "full"
    FIXED = "fixed"
    VOLUME = "volume"


class Algorithm(StrEnum):
    """What walks downhill."""

    FIRE = "fire"
    LBFGS = "lbfgs"
    BFGS = "bfgs"


def relax(  # noqa: PLR0917 -- typer makes options of them
    files: FilesArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for one relaxed CIF per crystal.")
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(min=1, help="Also write every so many steps into the folder, as extended XYZ."),
    ] = None,
    plot: PlotOption = None,
    cell: Annotated[Cell, typer.Option(help="What of the cell may move beside the atoms.")] = Cell.FULL,
    optimizer: Annotated[Algorithm, typer.Option(help="What walks downhill.")] = Algorithm.FIRE,
    fmax: Annotated[float | None, typer.Option(help="Largest force at the end, eV/Å.")] = None,
    steps: Annotated[int | None, typer.Option(help="Most steps.")] = None,
    pressure: Annotated[float, typer.Option(help="Pressure to relax under, GPa.")] = 0.0,
    symmetry: Annotated[bool, typer.Option(help="Keep the space group.")] = False,  # noqa: FBT002
    model: ModelOption = "",
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Move the crystals in FILES to their nearest energy minimum.

    The picture shows energy and largest force by step. Exit code 0: all crystals have results, converged
    or not; 3: some have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.relax_options import RelaxOptions  # noqa: PLC0415

    if every is not None and out is None:
        usage_error("--every needs a folder to write into: --out")
    crystals, unreadable = read_files(files)
    options = RelaxOptions(
        cell=cell.value,
        optimizer=optimizer.value,
        max_force_ev_per_angstrom=fmax,
        max_steps=steps,
        pressure_gpa=pressure,
        preserve_symmetry=symmetry,
    )
    folder = None if out is None else OutputFolder(out)
    drawn: list[RelaxationTrajectory] = []

    def take(trajectory: RelaxationTrajectory) -> None:
        if plot is not None:
            drawn.append(trajectory)
        if folder is not None and every is not None:
            folder.write_trajectory(trajectory, every)

    report: Report[Relaxation] = Report(RelaxationColumns(), as_json, "relaxing")
    with Mesh(address) as mesh:
        outcomes: Iterator[Relaxation | Failed]
        if every is None and plot is None:
            outcomes = mesh.relaxation.relax_many(crystals, options, model=model, timeout=timeout)
        else:
            interval = 1 if plot is not None else every or 1
            frames = mesh.relaxation.relax_frames_many(
                crystals, options, every=interval, model=model, timeout=timeout
            )
            outcomes = ends(frames, take)
        try:
            report.run(
                unreadable, len(crystals), outcomes, None if folder is None else folder.write_crystal_of
            )
        finally:
            if plot is not None and drawn:
                draw(plot, lambda: picture(drawn, fmax))


def ends(
    frames: Iterable[RelaxationFrame | Relaxation | Failed], take: Callable[[RelaxationTrajectory], None]
) -> Iterator[Relaxation | Failed]:
    """The outcomes of a stream of frames; `take` gets the trajectory that led to each."""
    from crystalmesh_client.results import Failed  # noqa: PLC0415
    from crystalmesh_client.trajectories import relaxation_trajectories  # noqa: PLC0415

    for outcome in relaxation_trajectories(frames):
        if isinstance(outcome, Failed):
            yield outcome
        else:
            take(outcome)
            yield outcome.end


def picture(trajectories: Sequence[RelaxationTrajectory], fmax: float | None) -> Figure:
    from crystalmesh_client.plots import plot_relaxations  # noqa: PLC0415

    return plot_relaxations(trajectories, max_force_ev_per_angstrom=fmax or DEFAULT_MAX_FORCE)


class RelaxationColumns:
    """What is shown of a relaxation."""

    names = ("crystal", "formula", "atoms", "converged", "steps", "eV/atom", "gained meV/atom", "volume %")

    def cells(self, result: Relaxation) -> Iterator[str]:
        gained = result.initial.energy_ev_per_atom - result.energy_ev_per_atom
        swelling = result.crystal.volume / result.initial.crystal.volume - 1
        yield result.id
        yield result.formula
        yield str(len(result.crystal))
        yield "yes" if result.converged else result.stop_reason
        yield str(result.steps)
        yield f"{result.energy_ev_per_atom:.4f}"
        yield f"{1000 * gained:.1f}"
        yield f"{100 * swelling:+.2f}"

    def fields(self, result: Relaxation) -> dict[str, Any]:
        return {
            "id": result.id,
            "formula": result.formula,
            "converged": result.converged,
            "stop_reason": result.stop_reason,
            "steps": result.steps,
            "energy_ev_per_atom": result.energy_ev_per_atom,
            "initial_energy_ev_per_atom": result.initial.energy_ev_per_atom,
            "max_force_ev_per_angstrom": result.max_force_ev_per_angstrom,
            "max_stress_gpa": result.max_stress_gpa,
            "seconds": result.seconds,
            "model": result.final.model,
            "cell_angstrom": result.crystal.cell.tolist(),
            "atomic_numbers": result.crystal.numbers.tolist(),
            "fractional_coordinates": result.crystal.frac_coords.tolist(),
        }
