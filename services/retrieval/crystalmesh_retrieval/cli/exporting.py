"""`crystalmesh catalog export`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli.filters import (
    ChemicalSystemOption,
    ElementsOption,
    FormulaOption,
    OnlyElementsOption,
    PropertyOption,
    SpaceGroupOption,
    WithoutElementsOption,
    ranges_of,
)
from crystalmesh_client.cli.reports import usage_error
from crystalmesh_retrieval.cli.options import FolderOption, NameArgument, catalogs_in, one_line_for_disks

if TYPE_CHECKING:
    from crystalmesh_retrieval.catalog.filters import PropertyBounds
    from crystalmesh_retrieval.catalog.material import Property


def export(
    name: NameArgument,
    out: Annotated[Path, typer.Argument(help="FILE.parquet, or a folder for CIF files.")],
    *,
    elements: ElementsOption = "",
    only_elements: OnlyElementsOption = "",
    without_elements: WithoutElementsOption = "",
    chemical_system: ChemicalSystemOption = "",
    formula: FormulaOption = "",
    space_group: SpaceGroupOption = None,
    bounds: PropertyOption = None,
    folder: FolderOption = None,
) -> None:
    """Write materials to a table that can be imported again, or as CIF files."""
    from crystalmesh_retrieval.catalog.filters import MaterialFilter  # noqa: PLC0415
    from crystalmesh_retrieval.cli.progress import RowProgress  # noqa: PLC0415
    from crystalmesh_retrieval.exporting import export_cifs, export_parquet  # noqa: PLC0415

    wanted = MaterialFilter(
        required_elements=_elements(elements),
        allowed_elements=_elements(only_elements),
        forbidden_elements=_elements(without_elements),
        formula=formula,
        chemical_system=chemical_system,
        space_group_numbers=space_group or (),
        properties=_bounds(bounds or []),
    )
    with one_line_for_disks():
        snapshot = catalogs_in(folder).open(name)
        count = snapshot.count(wanted)
        with RowProgress(f"exporting {name}") as bar:
            write = export_parquet if out.suffix == ".parquet" else export_cifs
            write(snapshot, wanted, out, lambda rows: bar.advance(rows, count))
    typer.echo(f"wrote {count:,} of {len(snapshot):,} materials to {out}")


def _elements(symbols: str) -> Sequence[int]:
    from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS  # noqa: PLC0415

    named = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    for symbol in named:
        if symbol not in ATOMIC_NUMBERS:
            usage_error(f"{symbol} is no element")
    return [ATOMIC_NUMBERS[symbol] for symbol in named]


def _bounds(texts: Sequence[str]) -> Mapping[Property, PropertyBounds]:
    from crystalmesh_retrieval.catalog.filters import PropertyBounds  # noqa: PLC0415
    from crystalmesh_retrieval.catalog.material import Property  # noqa: PLC0415

    return {
        Property(name): PropertyBounds(-math.inf if low is None else low, math.inf if high is None else high)
        for name, (low, high) in ranges_of(texts).items()
    }
