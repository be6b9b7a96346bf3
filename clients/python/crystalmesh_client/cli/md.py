"""`crystalmesh md FILE…`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.outputs import OutputFolder
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
    from crystalmesh_client.dynamics import DynamicsFrame, DynamicsReport
    from crystalmesh_client.results import Failed


class EnsembleOption(StrEnum):
    """What is held constant."""

    NVT = "nvt"
    NVE = "nve"
    NPT = "npt"


def md(  # noqa: PLR0917 -- typer makes options of them
    files: FilesArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for a trajectory (extended XYZ) and the last CIF of each."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to take.")] = 1000,
    ensemble: Annotated[EnsembleOption, typer.Option(help="What is held constant.")] = EnsembleOption.NVT,
    temperature: Annotated[float, typer.Option(help="Of start and thermostat, K.")] = 300.0,
    time_step: Annotated[float, typer.Option(help="Length of a step, fs.")] = 1.0,
    friction: Annotated[float | None, typer.Option(help="Of the thermostat, 1/fs.")] = None,
    pressure: Annotated[float | None, typer.Option(help="Of npt, GPa.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Steps from frame to frame.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of velocities and thermostat.")] = 0,
    model: ModelOption = "",
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Follow the crystals in FILES in time.

    Exit code 0: all crystals have a report, stable or not; 3: some have none, and say why.
    """
    from crystalmesh_client.dynamics import DynamicsOptions  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    crystals, unreadable = read_files(files)
    options = DynamicsOptions(
        steps=steps,
        ensemble=ensemble.value,
        time_step_fs=time_step,
        temperature_kelvin=temperature,
        friction_per_fs=friction,
        pressure_gpa=pressure,
        frame_interval_steps=every,
        seed=seed,
    )
    folder = None if out is None else OutputFolder(out)
    columns = DynamicsColumns(conserves_energy=ensemble is EnsembleOption.NVE)
    report: Report[DynamicsReport] = Report(columns, as_json, "following", steps_each=steps)

    def take(frame: DynamicsFrame) -> None:
        report.reached(frame.id, frame.step)
        if folder is not None:
            folder.append_frame(frame)

    with Mesh(address) as mesh:
        stream = mesh.relaxation.run_dynamics_many(crystals, options, model=model, timeout=timeout)
        write = None if folder is None else folder.write_crystal_of
        report.run(unreadable, len(crystals), reports(stream, take), write)


def reports(
    stream: Iterable[DynamicsFrame | DynamicsReport | Failed], take: Callable[[DynamicsFrame], None]
) -> Iterator[DynamicsReport | Failed]:
    """The outcomes of a stream of frames; `take` gets the frames."""
    from crystalmesh_client.dynamics import DynamicsFrame  # noqa: PLC0415

    for item in stream:
        if isinstance(item, DynamicsFrame):
            take(item)
        else:
            yield item


class DynamicsColumns:
    """What is shown of a run; the drift of its energy only where energy is conserved."""

    names = (
        "crystal",
        "formula",
        "atoms",
        "steps",
        "mean K",
        "drift meV/atom/ps",
        "closest Å",
        "bonds %",
        "stable",
    )

    def __init__(self, *, conserves_energy: bool) -> None:
        self._conserves_energy = conserves_energy

    def cells(self, result: DynamicsReport) -> Iterator[str]:
        yield result.id
        yield result.formula
        yield str(len(result.crystal))
        yield str(result.steps)
        yield f"{result.mean_temperature_kelvin:.0f}"
        yield f"{result.energy_drift_mev_per_atom_per_ps:.3g}" if self._conserves_energy else ""
        yield f"{result.shortest_distance_angstrom:.2f}"
        yield f"{100 * result.bonds_kept_fraction:.0f}"
        yield "yes" if result.stable else result.instability

    def fields(self, result: DynamicsReport) -> dict[str, Any]:
        return {
            "id": result.id,
            "formula": result.formula,
            "atoms": len(result.crystal),
            "steps": result.steps,
            "stable": result.stable,
            "instability": result.instability,
            "energy_drift_mev_per_atom_per_ps": result.energy_drift_mev_per_atom_per_ps,
            "mean_temperature_kelvin": result.mean_temperature_kelvin,
            "shortest_distance_angstrom": result.shortest_distance_angstrom,
            "bonds_kept_fraction": result.bonds_kept_fraction,
        }
