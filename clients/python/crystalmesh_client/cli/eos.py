"""`crystalmesh eos FILE…`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.outputs import PlotOption, draw
from crystalmesh_client.cli.reports import (
    AddressOption,
    ClampedOption,
    FilesArgument,
    JsonOption,
    ModelOption,
    RelaxFirstOption,
    Report,
    TimeoutOption,
    read_files,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crystalmesh_client.equations_of_state import EquationOfState


def eos(  # noqa: PLR0917 -- typer makes options of them
    files: FilesArgument,
    plot: PlotOption = None,
    relax: RelaxFirstOption = True,  # noqa: FBT002
    strain: Annotated[
        float | None, typer.Option(help="Largest change of volume on either side, a fraction. Default: 0.1.")
    ] = None,
    points: Annotated[int | None, typer.Option(help="Volumes to evaluate. Default: 11.")] = None,
    clamped: ClampedOption = False,  # noqa: FBT002
    model: ModelOption = "",
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Equations of state and bulk moduli of the crystals in FILES (Birch-Murnaghan).

    The picture has a panel for each crystal, at most 12. Exit code 0: all crystals have results, reliable
    or not; 3: some have none, and say why.
    """
    from crystalmesh_client.equations_of_state import EquationOfStateOptions  # noqa: PLC0415 -- quick --help
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    crystals, unreadable = read_files(files)
    options = EquationOfStateOptions(
        relax_first=relax, max_volume_strain=strain, points=points, keep_fractional_coordinates=clamped
    )
    report: Report[EquationOfState] = Report(EquationOfStateColumns(), as_json, "compressing and stretching")

    def picture() -> Figure:
        from crystalmesh_client.plots import plot_equations_of_state  # noqa: PLC0415

        return plot_equations_of_state(report.results)

    with Mesh(address) as mesh:
        outcomes = mesh.stability.fit_equation_of_state_many(crystals, options, model=model, timeout=timeout)
        try:
            report.run(unreadable, len(crystals), outcomes)
        finally:
            if plot is not None and report.results:
                draw(plot, picture)


class EquationOfStateColumns:
    """What is shown of an equation of state."""

    names = ("crystal", "formula", "atoms", "B0 GPa", "B0'", "V0 Å³/atom", "E0 eV/atom", "reliable")

    def cells(self, result: EquationOfState) -> Iterator[str]:
        atoms = len(result.crystal)
        yield result.id
        yield result.formula
        yield str(atoms)
        yield f"{result.bulk_modulus_gpa:.1f}"
        yield f"{result.bulk_modulus_derivative:.2f}"
        yield f"{result.equilibrium_volume_cubic_angstrom / atoms:.3f}"
        yield f"{result.equilibrium_energy_ev / atoms:.4f}"
        yield "yes" if result.reliable else result.unreliable_reason

    def fields(self, result: EquationOfState) -> dict[str, Any]:
        return {
            "id": result.id,
            "formula": result.formula,
            "atoms": len(result.crystal),
            "bulk_modulus_gpa": result.bulk_modulus_gpa,
            "bulk_modulus_derivative": result.bulk_modulus_derivative,
            "equilibrium_volume_cubic_angstrom": result.equilibrium_volume_cubic_angstrom,
            "equilibrium_energy_ev": result.equilibrium_energy_ev,
            "residual_ev_per_atom": result.residual_ev_per_atom,
            "reliable": result.reliable,
            "unreliable_reason": result.unreliable_reason,
            "volumes_cubic_angstrom": result.volumes_cubic_angstrom.tolist(),
            "energies_ev": result.energies_ev.tolist(),
            "model": result.model,
        }
