"""The options with which commands over catalogs say which materials count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.reports import usage_error

if TYPE_CHECKING:
    from crystalmesh_client.conditions import MaterialFilter
    from crystalmesh_client.properties import Range

CatalogOption = Annotated[str, typer.Option(help="Catalog to look in. Default: the server's.")]
ElementsOption = Annotated[str, typer.Option(help="That must all be there: Li,O.")]
OnlyElementsOption = Annotated[str, typer.Option(help="That alone may be there: Li,Fe,O.")]
WithoutElementsOption = Annotated[str, typer.Option(help="That must not be there: Pb,Hg.")]
ChemicalSystemOption = Annotated[str, typer.Option(help="Exactly these: Li-Fe-O.")]
FormulaOption = Annotated[str, typer.Option(help="Exactly this composition: LiFePO4.")]
SpaceGroupOption = Annotated[list[int] | None, typer.Option(help="Number, 1 to 230; may be repeated.")]
PropertyOption = Annotated[
    list[str] | None,
    typer.Option("--property", help="band_gap_ev=1..2, or with one side left out; may be repeated."),
]


def filter_of(
    *, space_group: Sequence[int] | None, bounds: Sequence[str] | None, **conditions: Any
) -> MaterialFilter | None:
    """The filter that options ask for, None when they ask for none; exit code 2 for what cannot be meant."""
    from crystalmesh_client.conditions import MaterialFilter  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_common.runtime.errors import InvalidFieldError  # noqa: PLC0415

    ranges: dict[str, Any] = ranges_of(bounds or ())
    if not (space_group or ranges or any(conditions.values())):
        return None
    try:
        return MaterialFilter(space_groups=tuple(space_group or ()), **conditions, **ranges)
    except InvalidFieldError as error:
        usage_error(str(error))


def ranges_of(texts: Sequence[str]) -> dict[str, Range]:
    """Ranges by property, of texts like "band_gap_ev=1..2"; exit code 2 for what is none."""
    from crystalmesh_client.properties import PROPERTY_NAMES  # noqa: PLC0415

    found: dict[str, Range] = {}
    for text in texts:
        name, _, bounds = text.partition("=")
        low, dots, high = bounds.partition("..")
        try:
            found[name] = (float(low) if low else None, float(high) if high else None)
        except ValueError:
            dots = ""
        if not dots or name not in PROPERTY_NAMES:
            usage_error(f"{text!r} is no range of a property: {', '.join(PROPERTY_NAMES)}=MIN..MAX")
    return found
