"""`crystalmesh elastic FILE…`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

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
    from crystalmesh_client.elasticity import Elasticity


def elastic(
    files: FilesArgument,
    relax: RelaxFirstOption = True,  # noqa: FBT002
    clamped: ClampedOption = False,  # noqa: FBT002
    model: ModelOption = "",
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Elastic tensors and moduli of the crystals in FILES; `--json` has the tensors.

    Exit code 0: all crystals have results, stable or not; 3: some have none, and say why.
    """
    from crystalmesh_client.elasticity import ElasticityOptions  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    crystals, unreadable = read_files(files)
    options = ElasticityOptions(relax_first=relax, keep_fractional_coordinates=clamped)
    report: Report[Elasticity] = Report(ElasticityColumns(), as_json, "straining")
    with Mesh(address) as mesh:
        outcomes = mesh.stability.elastic_tensor_many(crystals, options, model=model, timeout=timeout)
        report.run(unreadable, len(crystals), outcomes)


class ElasticityColumns:
    """What is shown of an elastic tensor."""

    names = ("crystal", "formula", "atoms", "K GPa", "G GPa", "E GPa", "Poisson", "anisotropy", "stable")

    def cells(self, result: Elasticity) -> Iterator[str]:
        yield result.id
        yield result.formula
        yield str(len(result.crystal))
        yield f"{result.bulk_modulus.hill_gpa:.1f}"
        yield f"{result.shear_modulus.hill_gpa:.1f}"
        yield f"{result.young_modulus_gpa:.1f}"
        yield f"{result.poisson_ratio:.3f}"
        yield f"{result.universal_anisotropy:.2f}"
        yield "yes" if result.mechanically_stable else "no"

    def fields(self, result: Elasticity) -> dict[str, Any]:
        return {
            "id": result.id,
            "formula": result.formula,
            "atoms": len(result.crystal),
            "stiffness_gpa": result.stiffness_gpa.tolist(),
            "bulk_modulus": asdict(result.bulk_modulus),
            "shear_modulus": asdict(result.shear_modulus),
            "young_modulus_gpa": result.young_modulus_gpa,
            "poisson_ratio": result.poisson_ratio,
            "universal_anisotropy": result.universal_anisotropy,
            "mechanically_stable": result.mechanically_stable,
            "residual_gpa": result.residual_gpa,
            "model": result.model,
        }
