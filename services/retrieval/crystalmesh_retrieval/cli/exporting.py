"""`crystalmesh catalog export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli.reports import usage_error
from crystalmesh_retrieval.cli.options import FolderOption, NameArgument, catalogs_in, one_line_for_disks

if TYPE_CHECKING:
    from crystalmesh_retrieval.catalog.filters import PropertyBounds
    from crystalmesh_retrieval.catalog.material import Property


def export(
    name: NameArgument,
    out: Annotated[Path, typer.Argument(help="FILE.parquet, or a folder for CIF files.")],
    *,
    elements: Annotated[str, typer.Option(help="That must all be there: Li,O.")] = "",
    only_elements: Annotated[str, typer.Option(help="That alone may be there: Li,Fe,O.")] = "",
    without_elements: Annotated[str, typer.Option(help="That must not be there: Pb,Hg.")] = "",
    chemical_system: Annotated[str, typer.Option(help="Exactly these: Li-Fe-O.")] = "",
    formula: Annotated[str, typer.Option(help="Exactly this composition: LiFePO4.")] = "",
    space_group: Annotated[list[int] | None, typer.Option(help="Number, 1 to 230; may be repeated.")] = None,
    bounds: Annotated[
        list[str] | None,
        typer.Option("--property", help="band_gap_ev=1..2, or with one side left out; may be repeated."),
    ] = None,
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

    found: dict[Property, PropertyBounds] = {}
    for text in texts:
        name, _, bounds = text.partition("=")
        low, dots, high = bounds.partition("..")
        try:
            found[Property(name)] = PropertyBounds(float(low or "-inf"), float(high or "inf"))
        except ValueError:
            dots = ""
        if not dots:
            usage_error(f"{text!r} is no range of a property: {', '.join(Property)}=MIN..MAX")
    return found
