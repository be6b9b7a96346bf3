"""`crystalmesh predict FILE…`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from crystalmesh_client.cli.reports import (
    AddressOption,
    FilesArgument,
    JsonOption,
    Report,
    TimeoutOption,
    read_files,
    usage_error,
)

if TYPE_CHECKING:
    from rich.table import Table

    from crystalmesh_client.predictions import Prediction
    from crystalmesh_client.properties import PropertyName


def predict(
    files: FilesArgument,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", help="band_gap_ev, …; may be repeated. Default: all that there is."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model to use. Default: the best for each property.")] = "",
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Properties of the crystals in FILES, as trained models predict them, each with a 95% interval.

    A crystal unlike what the models were trained on is marked, and the reasons stand below. Exit code 0: all
    crystals have results, marked or not; 3: some have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    names = known(properties or ())
    crystals, unreadable = read_files(files)
    report = PredictionReport(PredictionColumns(), as_json, "predicting")
    with Mesh(address) as mesh:
        outcomes = mesh.property.predict_many(crystals, names, model=model, timeout=timeout)
        try:
            report.run(unreadable, len(crystals), outcomes)
        finally:
            if not as_json:
                report.tell_trust()


def known(names: Sequence[str]) -> list[PropertyName]:
    """The names, if all are properties; exit code 2 for one that is none."""
    from crystalmesh_client.properties import PROPERTY_NAMES  # noqa: PLC0415

    for name in names:
        if name not in PROPERTY_NAMES:
            usage_error(f"{name!r} is no property; these are: {', '.join(PROPERTY_NAMES)}")
    return [cast("PropertyName", name) for name in names]


class PredictionReport(Report["Prediction"]):
    """The predictions as a table with a column a property, and how far they may be trusted."""

    def table(self) -> Table:
        """A row a crystal."""
        from crystalmesh_client.cli.tables import plain_table  # noqa: PLC0415
        from crystalmesh_client.properties import SHORT_NAMES  # noqa: PLC0415

        names = list(dict.fromkeys(name for result in self.results for name in result.values))
        shown = (SHORT_NAMES.get(name, name) for name in names)
        table = plain_table("crystal", "formula", *shown, "in domain")
        for result in self.results:
            values = (result.values[name].rounded if name in result.values else "" for name in names)
            table.add_row(result.id, result.formula, *values, "no" if result.out_of_domain else "yes")
        return table

    def tell_trust(self) -> None:
        """Say which crystals are unlike the training data and why, what ± means, and who predicts."""
        for result in self.results:
            if result.out_of_domain:
                typer.echo(f"{result.id}: unlike the training data, not to be relied on{reasons_of(result)}")
        models = dict.fromkeys(value.model for result in self.results for value in result.values.values())
        if models:
            typer.echo(f"\n± is half of a 95% interval; by {', '.join(models)}")


def reasons_of(prediction: Prediction) -> str:
    """The ways in which a crystal is unlike the training data, after a colon, with the models concerned."""
    models: dict[str, list[str]] = {}
    for warning in prediction.domain_warnings:
        models.setdefault(warning.message, []).append(warning.model)
    reasons = "; ".join(f"{message} ({', '.join(names)})" for message, names in models.items())
    return f": {reasons}" if reasons else ""


class PredictionColumns:
    """What is told to programs of a prediction; people get a column a property."""

    names = ("crystal", "values")

    def cells(self, result: Prediction) -> Iterator[str]:
        yield result.id
        yield ", ".join(f"{name} {value.rounded}" for name, value in result.values.items())

    def fields(self, result: Prediction) -> dict[str, Any]:
        return result.to_dict()
