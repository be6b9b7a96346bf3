"""What a model predicts, what it learned from, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass, field

from crystalmesh.common.v1 import model_card_pb2
from crystalmesh_client.models import Model, model_from
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_client.properties import SHORT_NAMES, property_name


@dataclass(frozen=True)
class TrainingData:
    """A data set that a model learned from."""

    name: str
    split: str  # the part that was used: "fold 0 train"
    crystal_count: int
    properties: tuple[str, ...]  # that were learned from it
    url: str
    license: str


@dataclass(frozen=True)
class ModelMetric:
    """How well a model does on data that it was not trained on."""

    property: str  # "band_gap_ev", whose unit is that of "mae" and "rmse"
    name: str  # "mae", "rmse", "mae_log10", "coverage95"
    value: float
    higher_is_better: bool
    data_set: str
    split: str
    crystal_count: int


@dataclass(frozen=True)
class ModelCard(Model):
    """A model that a service serves, with its card."""

    properties: tuple[str, ...]  # that it predicts
    training_data: tuple[TrainingData, ...] = field(repr=False)
    metrics: tuple[ModelMetric, ...] = field(repr=False)
    parameter_count: int
    ensemble_size: int  # 1: uncertainties come from a head
    seed: int
    recipe: str = field(repr=False)
    weights_sha256: str = field(repr=False)
    limitations: str = field(repr=False)

    def _repr_html_(self) -> str:
        learned = (
            f"{data.name} {data.split}, {data.crystal_count:,} crystals" for data in self.training_data
        )
        head = html_table(
            ("model", f"{self.name} {self.version}".strip()),
            ("predicts", ", ".join(self.properties)),
            ("learned from", "; ".join(learned)),
            ("parameters", f"{self.parameter_count:,}"),
            ("not for", self.limitations),
            ("license", self.license),
        )
        rows = [
            (
                SHORT_NAMES.get(metric.property, metric.property),
                metric.name,
                f"{metric.value:.4g}",
                f"{metric.data_set} {metric.split}, {metric.crystal_count:,} crystals",
            )
            for metric in self.metrics
        ]
        return head + (html_grid(("property", "metric", "value", "on"), rows) if rows else "")


def model_card_from(message: model_card_pb2.ModelCard) -> ModelCard:
    """The typed form of a message."""
    return ModelCard(
        **vars(model_from(message.model)),
        properties=tuple(map(property_name, message.properties)),
        training_data=tuple(
            TrainingData(
                data.name,
                data.split,
                data.crystal_count,
                tuple(map(property_name, data.properties)),
                data.url,
                data.license,
            )
            for data in message.training_data
        ),
        metrics=tuple(
            ModelMetric(
                property_name(metric.property),
                metric.name,
                metric.value,
                metric.higher_is_better,
                metric.data_set,
                metric.split,
                metric.crystal_count,
            )
            for metric in message.metrics
        ),
        parameter_count=message.parameter_count,
        ensemble_size=message.ensemble_size,
        seed=message.seed,
        recipe=message.recipe,
        weights_sha256=message.weights_sha256,
        limitations=message.limitations,
    )
