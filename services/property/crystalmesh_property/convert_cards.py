"""Model cards: where a model comes from and how good it is, as a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crystalmesh.common.v1.model_card_pb2 import ModelCard, ModelMetric, TrainingData
from crystalmesh.common.v1.model_pb2 import ModelInfo
from crystalmesh_property.convert import PROPERTY_NUMBERS
from crystalmesh_property.properties import SCALES, Property
from crystalmesh_property.serving.models import ServedModels
from crystalmesh_property.serving.prediction import UNITS, LoadedModel
from crystalmesh_property.serving.provenance import Provenance, Score

_PUBLISHED: Mapping[str, str] = {
    "matbench_mp_gap": "https://matbench.materialsproject.org",
    "mp20": "https://github.com/txie-93/cdvae",
}
_LICENSE = "CC-BY-4.0"  # of what the Materials Project publishes, which these are parts of

_LIMITATIONS = (
    "Learnt from density functional theory at 0 K, whose errors it has, too: it does not predict what is "
    "measured in a laboratory. For ordered, fully periodic crystals. Uncertainties hold for crystals like "
    "those that it was trained on; the server flags crystals that are not."
)
_OF_GAPS = " Band gaps of this theory are smaller than measured ones, often by half."


def cards(models: ServedModels, *, ready: bool, device: str) -> list[ModelCard]:
    """The cards of all models, the preferred ones first; of one that cannot predict, its name and why."""
    return [
        _card(model, ModelInfo(is_default=models.is_default(model.name), ready=ready, device=device))
        if model.ready
        else ModelCard(model=ModelInfo(name=model.name, description=model.reason, device=device))
        for model in models.all()
    ]


def _card(model: LoadedModel, info: ModelInfo) -> ModelCard:
    said = Provenance.of(model.provenance)
    info.MergeFrom(
        ModelInfo(
            name=model.name,
            version=model.version,
            license=said.license,
            description=_description(model, said),
            atomic_numbers=model.atomic_numbers,
        )
    )
    return ModelCard(
        model=info,
        properties=[PROPERTY_NUMBERS[name] for name in model.properties],
        training_data=_training_data(model, said),
        metrics=[metric for score in said.scores for metric in _metrics(score, said)],
        parameter_count=model.parameters,
        ensemble_size=1,
        seed=said.experiment.seed,
        recipe=_recipe(said),
        weights_sha256=model.sha256,
        limitations=_LIMITATIONS + (_OF_GAPS if Property.BAND_GAP in model.properties else ""),
    )


def _description(model: LoadedModel, said: Provenance) -> str:
    what = ", ".join(
        f"{name} (mean error {mae:.3g} {_unit(name)})" if (mae := said.test_mae(name)) is not None else name
        for name in model.properties
    )
    data = said.experiment.data
    learnt = f", trained on {data.name} {data.part}train".rstrip() if data.train else ""
    return f"Crystal graph network for {what}{learnt}."


def _unit(name: Property) -> str:
    return f"in log10({UNITS[name]})" if SCALES[name].logarithmic else UNITS[name]


def _training_data(model: LoadedModel, said: Provenance) -> list[TrainingData]:
    """One entry, since what is known is how many crystals there were in all."""
    data = said.experiment.data
    if not data.train:
        return []
    extra = [path.removesuffix(".parquet") for path in data.extra]
    return [
        TrainingData(
            name=" + ".join([data.name, *extra]),
            split=f"{data.part}train",
            crystal_count=said.crystals.train,
            properties=[PROPERTY_NUMBERS[name] for name in model.properties],
            url=_PUBLISHED.get(data.name, ""),
            license=_LICENSE if data.name in _PUBLISHED else "",
        )
    ]


def _metrics(score: Score, said: Provenance) -> Iterator[ModelMetric]:
    data = said.experiment.data
    suffix = "_log10" if SCALES[score.property].logarithmic else ""
    for name, value in (
        (f"mae{suffix}", score.mae),
        (f"rmse{suffix}", score.rmse),
        ("coverage95", score.coverage95),
    ):
        yield ModelMetric(
            property=PROPERTY_NUMBERS[score.property],
            name=name,
            value=value,
            higher_is_better=name == "coverage95",
            data_set=data.name,
            split=f"{data.part}test",
            crystal_count=score.crystals,
        )


def _recipe(said: Provenance) -> str:
    if not said.steps:
        return ""
    how = said.experiment.optimization
    return (
        f"AdamW at {how.learning_rate:g} with a cosine to zero, batches of {how.crystals} crystals, weights "
        f"averaged with a decay of {how.average:g}. {said.steps:,} steps, {said.epochs:.1f} epochs, "
        f"{said.training_seconds / 60:.0f} minutes on {said.machine}."
    )
