"""`crystalmesh relax FILE…`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli import exits
from crystalmesh_client.cli.reports import (
    AddressOption,
    FilesArgument,
    JsonOption,
    ModelOption,
    Report,
    TimeoutOption,
    read_files,
)

if TYPE_CHECKING:
    from crystalmesh_client.results import Relaxation


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

    Exit code 0: all crystals have results, converged or not; 3: some have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.relax_options import RelaxOptions  # noqa: PLC0415

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
    report: Report[Relaxation] = Report(RelaxationColumns(), as_json, "relaxing")
    with Mesh(address) as mesh:
        outcomes = mesh.relaxation.relax_many(crystals, options, model=model, timeout=timeout)
        report.run(
            unreadable, len(crystals), outcomes if crystals else (), None if folder is None else folder.write
        )


class OutputFolder:
    """Takes one CIF per crystal, as each is done."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            typer.echo(f"crystalmesh: {path} cannot be made: {error.strerror}", err=True)
            raise typer.Exit(exits.USAGE) from None
        self._path = path

    def write(self, result: Relaxation) -> None:
        from crystalmesh_common.crystal.text import crystal_to_cif  # noqa: PLC0415

        # An id may be a path ("frames.xyz#3"); its file is not to land elsewhere.
        name = result.id.replace("/", "_").lstrip(".") or "crystal"
        (self._path / f"{name}.cif").write_text(crystal_to_cif(result.crystal))


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
