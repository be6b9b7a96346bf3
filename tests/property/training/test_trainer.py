import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crystalmesh_common.runtime.devices import training_device
from crystalmesh_common.runtime.errors import DataCorruptError, InvalidFieldError
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.scoring import Predictions, Score, score
from crystalmesh_property.evaluation.splits import Split, matbench_folds, matbench_split
from crystalmesh_property.graphs.packing import pack
from crystalmesh_property.model.files import load_model
from crystalmesh_property.properties import Property
from crystalmesh_property.training.experiment import Experiment, experiment_of
from crystalmesh_property.training.learning import divided, learning_rate
from crystalmesh_property.training.trainer import CHECKPOINT, Report, Trainer
from tests.property.crystals import salts_table

EXPERIMENT = Experiment.model_validate(
    {
        "name": "salts",
        "properties": ["band_gap_ev"],
        "data": {"protocol": "matbench", "train": "salts.parquet"},
        "budget": {"steps": 30, "checks": 3},
        "neighbours": 6,
        "network": {"width": 16, "layers": 1, "radial_functions": 8},
        "optimization": {"crystals": 16, "learning_rate": 0.01},
        "machine": {"device": "cpu", "workers": 1},
    }
)


@pytest.fixture(scope="module")
def salts(tmp_path_factory: pytest.TempPathFactory) -> tuple[GraphPool, Split]:
    folder = tmp_path_factory.mktemp("salts")
    table = salts_table(folder / "salts.parquet", range(150), fold=matbench_folds(150).tolist())
    return matbench_split(
        [pack(table, folder / "salts.graphs", EXPERIMENT.graphs)], fold=0, validation_share=0.2
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(folder / "model").network.state_dict())


def changed(**budget: int) -> Experiment:
    return EXPERIMENT.model_copy(update={"budget": EXPERIMENT.budget.model_copy(update=budget)})


def test_it_learns_and_leaves_a_model_with_its_scores(tmp_path: Path, salts: tuple[GraphPool, Split]) -> None:
    """A short training beats the mean by far; model, predictions, curves and scores lie in its folder."""
    reports: list[Report] = []
    (found,) = Trainer(changed(steps=150), *salts, tmp_path, reports.append).run()
    assert found.mae < 0.4 * found.mae_of_mean
    checks = [report.check for report in reports if report.check]
    assert len(checks) == 3
    assert checks[-1].validation < checks[0].validation
    assert reports[-1].spent == 1
    assert score(Predictions.load(tmp_path / "predictions.parquet"), *salts) == [found]
    model = load_model(tmp_path / "model")
    assert model.domain["crystals"] == 96
    assert set(model.interval_factors) == {"band_gap_ev"}
    assert model.graphs == EXPERIMENT.graphs
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    said = json.loads((tmp_path / "scores.json").read_text())
    assert (said["steps"], said["split"], said["scores"][0]["mae"]) == (150, "matbench fold 0", found.mae)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_resumed_training_ends_as_an_uninterrupted_one(
    tmp_path: Path, salts: tuple[GraphPool, Split], workers: int
) -> None:
    """Stopped between checkpoints and started again, it ends with the same weights to the last bit."""
    experiment = EXPERIMENT.model_copy(
        update={"machine": EXPERIMENT.machine.model_copy(update={"workers": workers})}
    )
    whole = Trainer(experiment, *salts, tmp_path / "whole").run()

    def interrupt(report: Report) -> None:
        if report.step == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(experiment, *salts, tmp_path / "halves", interrupt).run()
    steps: list[int] = []
    halves = Trainer(experiment, *salts, tmp_path / "halves", lambda report: steps.append(report.step)).run()
    assert steps[0] == 11
    assert halves == whole
    ended, again = weights(tmp_path / "whole"), weights(tmp_path / "halves")
    assert all(torch.equal(ended[name], again[name]) for name in ended)


def test_a_finished_training_is_judged_again_without_learning(
    tmp_path: Path, salts: tuple[GraphPool, Split]
) -> None:
    """Run again, it takes no step and says the same; with a larger budget it goes on."""
    first = Trainer(EXPERIMENT, *salts, tmp_path).run()
    steps: list[int] = []
    assert Trainer(EXPERIMENT, *salts, tmp_path, lambda report: steps.append(report.step)).run() == first
    assert steps == []
    Trainer(changed(steps=33), *salts, tmp_path, lambda report: steps.append(report.step)).run()
    assert steps[0] == 31


def test_threads_change_nothing_but_rounding(tmp_path: Path, salts: tuple[GraphPool, Split]) -> None:
    """One thread and two learn the same from a step, to rounding."""
    found = []
    for workers in (1, 2):
        machine = EXPERIMENT.machine.model_copy(update={"workers": workers})
        experiment = changed(steps=2, checks=1).model_copy(update={"machine": machine})
        Trainer(experiment, *salts, tmp_path / str(workers)).run()
        found.append(weights(tmp_path / str(workers)))
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], atol=2e-4, rtol=1e-3)


def test_patience_ends_a_training(tmp_path: Path, salts: tuple[GraphPool, Split]) -> None:
    """With nothing learnt, the first check stays the best and the budget is not used up."""
    still = changed(steps=1000, checks=100, patience=2).model_copy(
        update={"optimization": EXPERIMENT.optimization.model_copy(update={"learning_rate": 1e-12})}
    )
    reports: list[Report] = []
    Trainer(still, *salts, tmp_path, reports.append).run()
    assert reports[-1].step <= 100


def test_a_checkpoint_of_something_else_is_not_taken(tmp_path: Path, salts: tuple[GraphPool, Split]) -> None:
    """Another seed begins anew in the same folder; a damaged checkpoint raises."""
    Trainer(EXPERIMENT, *salts, tmp_path).run()
    steps: list[int] = []
    other = EXPERIMENT.model_copy(update={"seed": 1})
    Trainer(other, *salts, tmp_path, lambda report: steps.append(report.step)).run()
    assert steps[0] == 1
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:200])
    with pytest.raises(DataCorruptError):
        Trainer(other, *salts, tmp_path).run()


def test_a_property_that_cannot_be_validated_is_refused(
    tmp_path: Path, salts: tuple[GraphPool, Split]
) -> None:
    """Without labels in the validation part there are no intervals, so there is no training either."""
    moduli = EXPERIMENT.model_copy(update={"properties": (Property.BULK_MODULUS,)})
    with pytest.raises(InvalidFieldError, match="validation part has no labels of bulk_modulus_gpa"):
        Trainer(moduli, *salts, tmp_path)


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path, salts: tuple[GraphPool, Split]) -> None:
    """A rate that blows up is told by name, not trained on."""
    wild = EXPERIMENT.model_copy(
        update={"optimization": EXPERIMENT.optimization.model_copy(update={"learning_rate": 1e30})}
    )
    with pytest.raises(InvalidFieldError, match="learning rate"):
        Trainer(wild, *salts, tmp_path).run()


def test_the_judged_are_not_learnt_from(tmp_path: Path, salts: tuple[GraphPool, Split]) -> None:
    """Labels of the test part can be anything: weights do not change."""
    pool, split = salts
    Trainer(EXPERIMENT, pool, split, tmp_path / "a").run()
    other = GraphPool(pool.tables)
    other.labels[split.test] = 9.0
    scores: list[Score] = Trainer(EXPERIMENT, other, split, tmp_path / "b").run()
    assert scores[0].mae > 3
    one, two = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_batch_is_divided_by_edges() -> None:
    """Parts have all members, each once, and about the same number of edges; few members are few parts."""
    edges = np.array([100, 1, 1, 1, 1, 96])
    parts = divided(np.arange(6), edges, 2)
    assert sorted(np.concatenate(parts)) == list(range(6))
    assert abs(edges[parts[0]].sum() - edges[parts[1]].sum()) <= 4
    assert [part.tolist() for part in divided(np.array([3]), edges, 4)] == [[3]]


def test_the_rate_rises_and_falls() -> None:
    """From near zero to the rate and down to zero when the budget is spent."""
    config = EXPERIMENT.optimization
    rates = [learning_rate(config, spent) for spent in (0, 0.01, 0.02, 0.5, 1.0, 1.2)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(config.learning_rate)
    assert rates[3] < rates[2]
    assert rates[4] == rates[5] == pytest.approx(0)


def test_experiments_that_ship_are_sound() -> None:
    """Every TOML file of the package is an experiment, on a protocol that exists."""
    import crystalmesh_property.training as package

    files = sorted((Path(package.__file__).parent / "experiments").glob("*.toml"))
    assert {experiment_of(file).data.protocol for file in files} == {"matbench", "mp20"}
    assert [experiment_of(Path(file.stem)) for file in files] == [experiment_of(file) for file in files]


def test_a_device_that_is_not_here_is_refused() -> None:
    """What torch does not know, and what this machine has not, name the field."""
    for device in ("tpu-9000", "meta"):
        with pytest.raises(InvalidFieldError) as caught:
            training_device(device)
        assert caught.value.details["field"] == "machine.device"


def test_an_experiment_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    """A misspelt field, no budget, a text that is no TOML and a change without value name the field."""
    file = tmp_path / "e.toml"
    file.write_text('name = "x"\nproperties = ["band_gap_ev"]\n[data]\nprotocol = "matbench"\ntrain = "t"\n')
    with pytest.raises(InvalidFieldError, match="budget"):
        experiment_of(file)
    assert experiment_of(file, ("budget.minutes=3", "network.angles=false")).network.angles is False
    for changes, field in (
        (("budget.minute=3",), "minute"),
        (("seed",), "seed"),
        (("budget.checks=1",), "budget"),
    ):
        with pytest.raises(InvalidFieldError, match=field):
            experiment_of(file, changes)
    file.write_text("name = ")
    with pytest.raises(InvalidFieldError):
        experiment_of(file)
    with pytest.raises(InvalidFieldError, match="cannot be read"):
        experiment_of(tmp_path / "none.toml")


def test_fewer_rows_are_learnt_from(tmp_path: Path, salts: tuple[GraphPool, Split]) -> None:
    """A split with fewer rows trains on those and judges the same part."""
    pool, split = salts
    few = split.fewer(20, seed=0)
    (found,) = Trainer(changed(steps=3), pool, few, tmp_path).run()
    assert found.crystals == len(split.test)
    assert load_model(tmp_path / "model").domain["crystals"] == 20
    assert replace(few, train=split.train).name == split.name
