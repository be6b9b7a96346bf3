"""`crystalmesh references`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from crystalmesh_client.cli.reports import AddressOption, JsonOption


def references(
    name: Annotated[str, typer.Argument(help="Tell all about this one.")] = "",
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """The sets of entries whose convex hulls the mesh scores against."""
    from dataclasses import asdict  # noqa: PLC0415

    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    with Mesh(address) as mesh:
        if name:
            _tell_all(asdict(mesh.stability.reference(name)), as_json=as_json)
            return
        known = mesh.stability.references()
    if as_json:
        for reference in known:
            typer.echo(json.dumps(asdict(reference)))
        return
    table = plain_table("reference", "energies", "scheme", "entries", "default")
    for reference in known:
        table.add_row(
            reference.name,
            reference.model or reference.kind.upper(),
            reference.energy_scheme,
            f"{reference.entry_count:,}",
            "yes" if reference.is_default else "",
        )
    standard_output().print(table, markup=False, highlight=False)


def _tell_all(description: dict[str, Any], *, as_json: bool) -> None:
    fields = {**description.pop("summary"), **description}
    fields["updated"] = None if fields["updated"] is None else fields["updated"].isoformat()
    if as_json:
        typer.echo(json.dumps(fields))
        return
    fields["atomic_numbers"] = f"{len(fields['atomic_numbers'])} elements"
    fields["elemental_energies"] = f"of {len(fields['elemental_energies'])} elements"
    for field, value in fields.items():
        typer.echo(f"{field.replace('_', ' ')}: {value}")
