"""`crystalmesh match FILE…`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.filters import CatalogOption
from crystalmesh_client.cli.reports import (
    AddressOption,
    FilesArgument,
    JsonOption,
    Report,
    TimeoutOption,
    read_files,
)

if TYPE_CHECKING:
    from crystalmesh_client.matches import Matches


def match(
    files: FilesArgument,
    catalog: CatalogOption = "",
    length: Annotated[
        float | None, typer.Option(help="Relative difference of lattice lengths. Default: 0.2.")
    ] = None,
    site: Annotated[
        float | None,
        typer.Option(help="Distance of sites, a fraction of the free length per atom. Default: 0.3."),
    ] = None,
    angle: Annotated[
        float | None, typer.Option(help="Difference of lattice angles, degrees. Default: 5.")
    ] = None,
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Whether the crystals in FILES are known to a catalog, and as what.

    Exit code 0: all crystals have an answer, known or new; 3: some have none, and say why.
    """
    from crystalmesh_client.matches import MatchTolerance  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    crystals, unreadable = read_files(files)
    tolerance = MatchTolerance(length_fraction=length, site_fraction=site, angle_degrees=angle)
    report: Report[Matches] = Report(MatchColumns(), as_json, "comparing")
    with Mesh(address) as mesh:
        outcomes = mesh.retrieval.find_matches_many(
            crystals, catalog=catalog, tolerance=tolerance, timeout=timeout
        )
        report.run(unreadable, len(crystals), outcomes)


class MatchColumns:
    """What is shown of whether a crystal is known."""

    names = ("crystal", "formula", "catalog", "compared", "known", "matches (rms distance)")

    def cells(self, result: Matches) -> Iterator[str]:
        yield result.id
        yield result.formula
        yield result.catalog
        yield str(result.compared_count)
        yield "yes" if result.is_known else "new"
        yield ", ".join(f"{each.material_id} ({each.rms_distance_fraction:.3f})" for each in result)

    def fields(self, result: Matches) -> dict[str, Any]:
        return {
            "id": result.id,
            "formula": result.formula,
            "known": result.is_known,
            "matches": [vars(each) for each in result],
            "compared_count": result.compared_count,
            "catalog": result.catalog,
            "catalog_version": result.catalog_version,
        }
