"""`crystalmesh evaluate FILE…`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    from crystalmesh_client.results import Evaluation


def evaluate(
    files: FilesArgument,
    model: ModelOption = "",
    energy_only: Annotated[bool, typer.Option(help="Leave out forces, stress and moments: faster.")] = False,  # noqa: FBT002
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Energy, forces, stress and magnetic moments of the crystals in FILES.

    Exit code 0: all crystals have results; 3: some have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.relaxation_questions import ALL_QUANTITIES  # noqa: PLC0415

    crystals, unreadable = read_files(files)
    report: Report[Evaluation] = Report(EvaluationColumns(), as_json, "evaluating")
    with Mesh(address) as mesh:
        quantities = ("energy",) if energy_only else ALL_QUANTITIES
        outcomes = mesh.relaxation.evaluate_many(
            crystals, quantities=quantities, model=model, timeout=timeout
        )
        report.run(unreadable, len(crystals), outcomes if crystals else ())


class EvaluationColumns:
    """What is shown of an evaluation."""

    names = ("crystal", "formula", "atoms", "eV/atom", "max force eV/Å", "pressure GPa", "moment μB")

    def cells(self, result: Evaluation) -> Iterator[str]:
        force, stress, moments = (
            result.max_force_ev_per_angstrom,
            result.stress_gpa,
            result.magnetic_moments_mu_b,
        )
        yield result.id
        yield result.formula
        yield str(len(result.crystal))
        yield f"{result.energy_ev_per_atom:.4f}"
        yield "" if force is None else f"{force:.4f}"
        yield "" if stress is None else f"{-stress.trace() / 3:.2f}"
        yield "" if moments is None else f"{moments.sum():.2f}"

    def fields(self, result: Evaluation) -> dict[str, Any]:
        arrays = {
            name: None if array is None else array.tolist()
            for name, array in (
                ("forces_ev_per_angstrom", result.forces_ev_per_angstrom),
                ("stress_gpa", result.stress_gpa),
                ("magnetic_moments_mu_b", result.magnetic_moments_mu_b),
            )
        }
        return {
            "id": result.id,
            "formula": result.formula,
            "atoms": len(result.crystal),
            "energy_ev": result.energy_ev,
            "energy_ev_per_atom": result.energy_ev_per_atom,
            "model": result.model,
            **arrays,
        }
