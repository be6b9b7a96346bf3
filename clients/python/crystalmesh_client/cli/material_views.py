"""How materials are shown: as a table, whole, and to programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from crystalmesh_client.materials import Material


def material_fields(material: Material) -> dict[str, Any]:
    """All of it that came, by the names of `crystalmesh catalog show --json`."""
    source, crystal = material.source, material.crystal
    fields: dict[str, Any] = {
        "id": material.id,
        "catalog": material.catalog,
        "formula": material.formula,
        "chemical_system": material.chemical_system,
        "space_group_number": material.space_group_number,
        "atom_count": material.atom_count,
        "properties": {
            name: {
                "value": known.value,
                "uncertainty": known.uncertainty,
                "kind": known.source.kind,
                "from": " ".join(filter(None, (known.source.name, known.source.version))),
            }
            for name, known in material.properties.items()
        },
        "source": {
            "name": source.name,
            "id": source.source_id,
            "url": source.url,
            "license": source.license,
            "method": source.method,
        },
    }
    if crystal is not None:
        moments = crystal.magnetic_moments
        fields["property_description"] = material.property_description
        fields["structure_description"] = material.structure_description
        fields["crystal"] = {
            "cell_angstrom": crystal.cell.tolist(),
            "atomic_numbers": crystal.numbers.tolist(),
            "fractional_coordinates": crystal.frac_coords.tolist(),
            "magnetic_moments_mu_b": None if moments is None else moments.tolist(),
        }
    return fields


def outline(fields: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """The fields as lines for people; what is empty or not known is left out."""
    for name, value in fields.items():
        if value in (None, "", [], {}):
            continue
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from outline(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{name}: {', '.join(map(str, value))}"
        else:
            yield f"{indent}{name}: {value}"


def material_table(
    rows: Iterable[tuple[Sequence[str], Material, Sequence[str]]],
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> Table:
    """A row a material, with cells of one's own `before` and `after`; a column a property that any has."""
    from crystalmesh_client.cli.tables import plain_table  # noqa: PLC0415
    from crystalmesh_client.properties import SHORT_NAMES  # noqa: PLC0415
    from crystalmesh_client.searches import known_properties, labelled  # noqa: PLC0415

    rows = list(rows)
    known = known_properties([material for _, material, _ in rows])
    shown = (SHORT_NAMES[name] for name in known)
    table = plain_table(*before, "material", "formula", "space group", *shown, *after)
    for left, material, right in rows:
        values = (labelled(material.properties.get(name)) for name in known)
        named = (material.id, material.formula, str(material.space_group_number))
        table.add_row(*left, *named, *values, *right)
    return table
