"""`crystalmesh models`."""

from __future__ import annotations

import json

import typer

from crystalmesh_client.cli.reports import AddressOption, JsonOption


def models(address: AddressOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """The models that the mesh serves."""
    from dataclasses import asdict  # noqa: PLC0415

    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    with Mesh(address) as mesh:
        known = mesh.relaxation.models()
    if as_json:
        for model in known:
            typer.echo(json.dumps(asdict(model)))
        return
    table = plain_table("model", "version", "ready", "device", "elements", "license")
    for model in known:
        ready = "yes" if model.ready else "no"
        elements = str(len(model.atomic_numbers)) if model.atomic_numbers else ""
        table.add_row(model.name, model.version, ready, model.device, elements, model.license)
    standard_output().print(table)
