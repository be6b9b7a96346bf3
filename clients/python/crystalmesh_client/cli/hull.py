"""`crystalmesh hull FILE…|FORMULA…` and `crystalmesh hull --system Li-Fe-O`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.hull_items import elements_of, read_items
from crystalmesh_client.cli.outputs import OutputFolder, PlotOption, draw
from crystalmesh_client.cli.reports import (
    AddressOption,
    JsonOption,
    ModelOption,
    RelaxFirstOption,
    Report,
    TimeoutOption,
    usage_error,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crystalmesh_client.hulls import HullDistance, PhaseDiagram
    from crystalmesh_client.mesh import Mesh
    from crystalmesh_client.references import Reference


def hull(  # noqa: PLR0917 -- typer makes options of them
    items: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|FORMULA|FORMULA=ENERGY]...",
            help="Crystals in any file that `evaluate` reads; a formula for the reference's own best entry of"
            " it; or a formula with your formation energy in eV/atom, and --scheme.",
        ),
    ] = None,
    system: Annotated[str, typer.Option(help="Show the hull of this chemical system: Li-Fe-O.")] = "",
    within: Annotated[
        float, typer.Option(min=0, help="Of --system: leave out entries further above the hull, eV/atom.")
    ] = 0.1,
    reference: Annotated[str, typer.Option(help="Score against this. Default: the server's.")] = "",
    scheme: Annotated[str, typer.Option(help="Correction scheme of given energies: MP2020.")] = "",
    exclude: Annotated[
        list[str] | None, typer.Option(help="Build the hull without this entry of the reference; repeatable.")
    ] = None,
    relax: RelaxFirstOption = True,  # noqa: FBT002
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the relaxed CIFs.")] = None,
    plot: PlotOption = None,
    model: ModelOption = "",
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Energies above the hull and decomposition of crystals and compositions, or the hull of a system.

    The picture needs phases of two or three elements in all. Exit code 0: all phases have results; 3: some
    have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    if not items and not system:
        usage_error("give files, formulas or a --system")
    with Mesh(address) as mesh:
        if not items:
            _show_system(mesh, system, reference, within, plot, as_json=as_json)
            return
        given = read_items(mesh, items, reference=reference, excluded=exclude or (), scheme=scheme)
        drawn = system or "-".join(sorted(elements_of(given.phases)))
        if plot is not None and given.phases:
            _check_drawable(drawn)
        folder = None if out is None else OutputFolder(out)
        report: Report[HullDistance] = Report(HullColumns(), as_json, "scoring")
        outcomes = mesh.stability.score_many(
            given.phases,
            reference=reference,
            energy_scheme=given.scheme,
            relax_first=relax,
            model=model,
            timeout=timeout,
        )
        try:
            report.run(
                given.unreadable,
                len(given.phases),
                outcomes,
                None if folder is None else folder.write_relaxed,
            )
        finally:
            try:
                if report.results and not as_json:
                    _name_reference(report.results[0].reference)
            finally:  # also when nobody reads the table to its end
                if report.results and plot is not None:
                    diagram = mesh.stability.phase_diagram(drawn, reference=reference)
                    draw(plot, lambda: _picture(diagram, report.results))


def _show_system(
    mesh: Mesh, system: str, reference: str, within: float, plot: Path | None, *, as_json: bool
) -> None:
    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415

    if plot is not None:
        _check_drawable(system)
    diagram = mesh.stability.phase_diagram(
        system, reference=reference, max_energy_above_hull_ev_per_atom=within
    )
    try:
        if as_json:
            for entry in diagram.entries:
                typer.echo(json.dumps({**vars(entry), "reference": _fields_of(diagram.reference)}))
        else:
            table = plain_table("entry", "formula", "above hull meV/atom", "formation eV/atom")
            for entry in diagram.entries:
                above, formation = entry.energy_above_hull_ev_per_atom, entry.formation_energy_ev_per_atom
                table.add_row(entry.entry_id, entry.formula, f"{1000 * above:.1f}", f"{formation:.4f}")
            standard_output().print(table, markup=False, highlight=False)
            _name_reference(diagram.reference)
    finally:  # also when nobody reads the table to its end
        if plot is not None:
            draw(plot, lambda: _picture(diagram, ()))


def _name_reference(reference: Reference) -> None:
    """A hull distance means nothing without its hull."""
    energies = f"energies of {reference.model}" if reference.model else "DFT energies"
    entries = f"{reference.entry_count:,} entries"
    typer.echo(f"\nagainst {reference.name}: {entries}, {energies}, {reference.energy_scheme}")


def _fields_of(reference: Reference) -> dict[str, Any]:
    """What tells whether two answers compare; which one is the default does not."""
    return {name: value for name, value in vars(reference).items() if name != "is_default"}


def _check_drawable(system: str) -> None:
    """Say it before anything is computed."""
    count = len(system.split("-"))
    if count not in {2, 3}:
        usage_error(f"a hull of two or of three elements can be drawn, and {system} has {count}")


def _picture(diagram: PhaseDiagram, scored: Sequence[HullDistance]) -> Figure:
    from crystalmesh_client.plots import plot_hull  # noqa: PLC0415

    return plot_hull(diagram, scored)


class HullColumns:
    """What is shown of a hull distance."""

    names = ("phase", "formula", "above hull meV/atom", "formation eV/atom", "competing", "decomposes into")

    def cells(self, result: HullDistance) -> Iterator[str]:
        yield result.id
        yield result.formula
        yield f"{1000 * result.energy_above_hull_ev_per_atom:.1f}"
        yield f"{result.formation_energy_ev_per_atom:.4f}"
        yield str(result.competing_entry_count)
        unconverged = " (relaxation did not converge)" if result.relaxation_converged is False else ""
        yield f"{result.decomposition_text}{unconverged}"

    def fields(self, result: HullDistance) -> dict[str, Any]:
        return {
            "id": result.id,
            "formula": result.formula,
            "energy_above_hull_ev_per_atom": result.energy_above_hull_ev_per_atom,
            "formation_energy_ev_per_atom": result.formation_energy_ev_per_atom,
            "energy_ev_per_atom": result.energy_ev_per_atom,
            "decomposition": [vars(product) for product in result.decomposition],
            "competing_entry_count": result.competing_entry_count,
            "reference": _fields_of(result.reference),
            "model": result.model,
            "self_consistent": result.self_consistent,
            "relaxation_converged": result.relaxation_converged,
        }
