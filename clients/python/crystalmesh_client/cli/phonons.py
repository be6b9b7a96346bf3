"""`crystalmesh phonons FILE…`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.reports import (
    AddressOption,
    FilesArgument,
    JsonOption,
    ModelOption,
    RelaxFirstOption,
    Report,
    TimeoutOption,
    read_files,
)

if TYPE_CHECKING:
    from crystalmesh_client.phonons import Phonons


def phonons(
    files: FilesArgument,
    supercell: Annotated[
        tuple[int, int, int], typer.Option(help="Repetitions along a, b and c: more find more instabilities.")
    ] = (1, 1, 1),
    relax: RelaxFirstOption = True,  # noqa: FBT002
    model: ModelOption = "",
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Vibrations at Gamma of the crystals in FILES; `--json` has all frequencies.

    Exit code 0: all crystals have results, stable or not; 3: some have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.phonons import PhononOptions  # noqa: PLC0415

    crystals, unreadable = read_files(files)
    options = PhononOptions(relax_first=relax, supercell=supercell)
    report: Report[Phonons] = Report(PhononColumns(), as_json, "shaking")
    with Mesh(address) as mesh:
        outcomes = mesh.stability.phonons_many(crystals, options, model=model, timeout=timeout)
        report.run(unreadable, len(crystals), outcomes)


class PhononColumns:
    """What is shown of vibrations."""

    names = ("crystal", "formula", "atoms", "lowest THz", "highest THz", "unstable modes", "stable")

    def cells(self, result: Phonons) -> Iterator[str]:
        stable = "yes" if result.dynamically_stable else "no"
        yield result.id
        yield result.formula
        yield str(len(result.crystal))
        yield f"{result.frequencies_thz[0].round(2) + 0.0:.2f}"  # no "-0.00", which looks imaginary
        yield f"{result.frequencies_thz[-1]:.2f}"
        yield str(len(result.unstable_modes))
        yield stable if result.relaxation_converged else f"{stable}, and not at a minimum"

    def fields(self, result: Phonons) -> dict[str, Any]:
        return {
            "id": result.id,
            "formula": result.formula,
            "atoms": len(result.crystal),
            "dynamically_stable": result.dynamically_stable,
            "relaxation_converged": result.relaxation_converged,
            "frequencies_thz": result.frequencies_thz.tolist(),
            "unstable_modes": len(result.unstable_modes),
            "model": result.model,
        }
