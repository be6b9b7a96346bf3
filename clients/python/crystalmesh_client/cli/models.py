"""`crystalmesh models`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from crystalmesh_client.cli.reports import AddressOption, JsonOption

if TYPE_CHECKING:
    from crystalmesh_client.generation import GenerationClient
    from crystalmesh_client.mesh import Mesh
    from crystalmesh_client.models import Model
    from crystalmesh_client.property import PropertyClient
    from crystalmesh_client.relaxation import RelaxationClient
    from crystalmesh_client.retrieval import RetrievalClient

_SERVICES = ("relaxation", "retrieval", "property", "generation")


def models(address: AddressOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """The models that the mesh serves."""
    from dataclasses import asdict  # noqa: PLC0415

    from crystalmesh_client.cli.tables import plain_table, standard_output  # noqa: PLC0415
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    with Mesh(address) as mesh:
        known = list(served(mesh))
    if as_json:
        for service, model in known:
            typer.echo(json.dumps({**asdict(model), "service": service}))
        return
    predicted = [predicted_by(model) for _, model in known]
    columns = ("model", "version", "ready", "device", "elements", "license", "service")
    table = plain_table(*columns, *(["predicts"] if any(predicted) else []))
    for (service, model), predicts in zip(known, predicted, strict=True):
        ready = "yes" if model.ready else "no"
        elements = str(len(model.atomic_numbers)) if model.atomic_numbers else ""
        cells = (model.name, model.version, ready, model.device, elements, model.license, service)
        table.add_row(*cells, *([predicts] if any(predicted) else []))
    standard_output().print(table)


def predicted_by(model: Model) -> str:
    """The properties that a model predicts; nothing for one that is there for something else."""
    from crystalmesh_client.generation_questions import GenerationModel  # noqa: PLC0415
    from crystalmesh_client.model_cards import ModelCard  # noqa: PLC0415

    if isinstance(model, GenerationModel):
        return ", ".join(model.predicted_properties)
    return ", ".join(model.properties) if isinstance(model, ModelCard) else ""


def served(mesh: Mesh) -> Iterator[tuple[str, Model]]:
    """The models of each service that the mesh has; raises what is wrong when it has none of them."""
    from crystalmesh_common.runtime.errors import (  # noqa: PLC0415
        CrystalMeshError,
        UnimplementedError,
        UnreachableError,
    )

    missing: list[CrystalMeshError] = []
    for service in _SERVICES:
        try:
            client: GenerationClient | PropertyClient | RelaxationClient | RetrievalClient = getattr(
                mesh, service
            )
        except UnreachableError as error:  # it is not among those that run
            missing.append(error)
            continue
        try:
            yield from ((service, model) for model in client.models())
        except UnimplementedError as error:  # the server at this address hosts others
            missing.append(error)
    if len(missing) == len(_SERVICES):
        raise missing[0]
