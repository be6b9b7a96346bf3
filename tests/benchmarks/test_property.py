from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import property_ablations, property_models, property_quality, property_speed
from benchmarks.property_models import MP20, MP_GAP, LearntFromJudgedError, Task, judged, model_folders
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_property.evaluation.scoring import score
from crystalmesh_property.evaluation.splits import matbench_folds
from crystalmesh_property.model.files import load_model, save_model
from crystalmesh_property.properties import Property
from crystalmesh_property.training.data import load_data
from crystalmesh_property.training.experiment import Experiment, experiment_of
from crystalmesh_property.training.trainer import Trainer
from tests.property.crystals import rock_salt, salts_table

SMALL = property_ablations.Size(steps=3, rows=40, width=16, layers=1)


def write_mp20(path: Path, numbers: Sequence[int], *, distances: bool = True) -> None:
    """A part of an MP-20 of rock salts, labelled with whatever follows from the number."""
    salts_table(
        path,
        numbers,
        formation_energy_ev_per_atom=[-1 - 0.01 * (n % 30) for n in numbers],
        energy_above_hull_ev_per_atom=[0.002 * (n % 9) if distances else None for n in numbers],
        bulk_modulus_gpa=[20.0 + n for n in numbers],
        magnetization_mu_b_per_a3=[0.001 * (n % 5) for n in numbers],
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables with the names of the real ones, of some hundred rock salts."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "mp20").mkdir()
    write_mp20(folder / "mp20" / "train.parquet", range(14), distances=False)
    write_mp20(folder / "mp20" / "val.parquet", range(14, 17))
    write_mp20(folder / "mp20" / "test.parquet", range(17, 21))
    entries = [
        {"id": str(n), "formula": formula, "formation_energy_ev_per_atom": -1.5 - 0.01 * n}
        for n, formula in enumerate(["LiF", "NaF", "KF", "RbF", "MgF", "CaF", "SrF", "LiCl", "NaCl", "KCl"])
    ]
    pq.write_table(pa.Table.from_pylist(entries), folder / "mp20_hull.parquet")
    salts_table(
        folder / "mp_elastic.parquet",
        range(21, 160),
        overlaps_mp20_eval=[False] * 139,
        shear_modulus_gpa=[10.0 + n for n in range(139)],
    )
    salts_table(folder / "matbench_mp_gap.parquet", range(100), fold=matbench_folds(100).tolist())
    return folder


@pytest.fixture(autouse=True)
def _tables(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """Benchmarks find these tables, and no models but those of the test."""
    monkeypatch.setenv("CRYSTALMESH_DATA", str(data))
    monkeypatch.setattr(property_models, "GRAPHS", data / "graphs")
    monkeypatch.setattr(property_models, "PROCESSES", 1)
    for task in (MP_GAP, MP20):
        monkeypatch.delenv(task.variable, raising=False)


def trained(experiment: Experiment, data: Path, run: Path) -> Path:
    pool, split = load_data(experiment, data, data / "graphs")
    Trainer(experiment, pool, split, run).run()
    return run


def gap_experiment(*changes: str) -> Experiment:
    small = ("network.width=16", "network.layers=1", 'machine.device="cpu"', "machine.workers=1")
    experiment = experiment_of(Path("mp_gap"), (*small, "budget.steps=3", *changes))
    return experiment.model_copy(update={"budget": experiment.budget.model_copy(update={"minutes": None})})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: Path) -> dict[Task, Path]:
    """Two trainings that learnt next to nothing."""
    folder = tmp_path_factory.mktemp("runs")
    mp20 = property_ablations.experiment_of(SMALL, ("machine.workers=1",))
    return {
        MP_GAP: trained(gap_experiment(), data, folder / "gap"),
        MP20: trained(mp20, data, folder / "mp20"),
    }


def altered(run: Path, to: Path, **provenance: Any) -> Path:
    """A copy of a model that says something else of itself."""
    model = load_model(run / "model")
    save_model(replace(model, provenance={**model.provenance, **provenance}), to)
    return to


def test_missing_models_are_named_with_how_to_train_them(tmp_path: Path) -> None:
    """Without any model both are named, each with its command and its variable."""
    with pytest.raises(FileNotFoundError) as caught:
        model_folders((MP_GAP, MP20), tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    for line, task in zip(lines, (MP_GAP, MP20), strict=True):
        assert f"crystalmesh train property {task.experiment} --data" in line
        assert f"set {task.variable}=" in line


def test_a_run_stands_in_where_no_model_ships(
    tmp_path: Path, runs: dict[Task, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's folder or the model in it is taken; a model that ships comes before both."""
    for named in (runs[MP_GAP], runs[MP_GAP] / "model"):
        monkeypatch.setenv(MP_GAP.variable, str(named))
        assert model_folders((MP_GAP,), tmp_path) == {MP_GAP: runs[MP_GAP] / "model"}
    shipped = altered(runs[MP_GAP], tmp_path / "mp-gap")
    assert model_folders((MP_GAP,), tmp_path) == {MP_GAP: shipped}
    monkeypatch.setenv(MP20.variable, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="holds none"):
        model_folders((MP20,), tmp_path)


@pytest.mark.parametrize("task", [MP_GAP, MP20], ids=lambda task: task.name)
def test_a_model_is_judged_as_its_training_judged_it(task: Task, runs: dict[Task, Path]) -> None:
    """Out of its folder, a model has the very scores that its training wrote down, hull labels included."""
    found = judged(task, runs[task] / "model")
    scores = score(property_quality.predicted(found, found.split), found.pool, found.split)
    said = found.model.provenance["scores"]
    assert [each.property for each in scores] == [each["property"] for each in said]
    for each, there in zip(scores, said, strict=True):
        assert each.mae == pytest.approx(there["mae"], rel=1e-5)
        assert each.mae_of_mean == pytest.approx(there["mae_of_mean"], rel=1e-9)
        assert each.coverage95 == there["coverage95"]


def test_another_fold_and_another_protocol_may_not_judge(
    tmp_path: Path, data: Path, runs: dict[Task, Path]
) -> None:
    """A model that learnt from fold 0, and one with gaps out of other tables, are refused."""
    other = trained(gap_experiment("data.fold=2"), data, tmp_path / "other")
    with pytest.raises(LearntFromJudgedError, match="without fold 2"):
        judged(MP_GAP, other / "model")
    with pytest.raises(LearntFromJudgedError, match=r"trained on mp20/train\.parquet and mp_elastic"):
        judged(MP_GAP, runs[MP20] / "model")


def test_a_table_of_judged_rows_is_found_by_its_content(tmp_path: Path, runs: dict[Task, Path]) -> None:
    """A train table with the hash of the test table, and more crystals than there are, are refused."""
    tables = load_model(runs[MP20] / "model").provenance["tables"]
    leak = altered(runs[MP20], tmp_path / "leak", tables={**tables, "train.parquet": tables["test.parquet"]})
    with pytest.raises(LearntFromJudgedError, match=r"content of test\.parquet"):
        judged(MP20, leak)
    more = altered(runs[MP20], tmp_path / "more", crystals={"train": 10_000})
    with pytest.raises(LearntFromJudgedError, match="10000 crystals"):
        judged(MP20, more)
    with pytest.raises(InvalidFieldError, match="does not say what it was trained on"):
        judged(MP20, altered(runs[MP20], tmp_path / "silent", experiment={}))


def test_quality_has_every_figure_and_a_picture(
    tmp_path: Path,
    runs: dict[Task, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Errors, baselines and coverages of every property come out, beside what was published."""
    monkeypatch.setattr(property_quality, "RESULTS", tmp_path)
    monkeypatch.setattr(property_quality, "model_folders", lambda _: {t: runs[t] / "model" for t in runs})
    figures = property_quality.run(quick=True)
    wanted = {"mp_gap_mae_ev", "e_form_mae_ev", "hull_mae_ev", "k_log10_mae", "coverage95"}
    wanted |= {"magnetization_mae_forest", "hull_mae_ev_mean_predictor", "k_log10_mae_coverage95"}
    assert wanted <= set(figures)
    assert all(np.isfinite(value) for value in figures.values())
    assert 0 <= figures["coverage95"] <= 1
    said = capsys.readouterr().out
    assert "QUICK: 2,000 fixed random rows" in said
    assert "coGN" in said
    assert "3 steps" in said
    assert (tmp_path / "property_parity.png").read_bytes().startswith(b"\x89PNG")


def test_batched_and_single_differ_by_rounding(runs: dict[Task, Path]) -> None:
    """The measured difference is that of both models; a value that is off is told on its scale."""
    folders = tuple(ModelFolder(task.name, run / "model") for task, run in runs.items())
    crystals = [rock_salt(number) for number in range(12)]
    alone = property_speed.one_by_one(folders, crystals)
    together = property_speed.predict_part(folders, crystals)
    assert set(together[crystals[0].id]) >= {Property.BAND_GAP, Property.SHEAR_MODULUS}
    assert property_speed.largest_difference(together, alone) < property_speed.DIFFERENCE_BAR
    tenfold = {**alone[crystals[3].id]}
    tenfold[Property.BULK_MODULUS] *= 10
    assert property_speed.largest_difference(together, {**alone, crystals[3].id: tenfold}) == pytest.approx(
        1, abs=1e-4
    )


def test_ablations_are_trained_once(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each training has its folder, is compared with the whole network, and is not done again."""
    monkeypatch.setattr(property_ablations, "RUNS", tmp_path)
    monkeypatch.setattr(property_ablations, "PROCESSES", 1)
    monkeypatch.setenv("ABLATION_ONLY", "angles,moving_average")
    for name, value in (("STEPS", 3), ("ROWS", 40), ("WIDTH", 16), ("LAYERS", 1)):
        monkeypatch.setenv(f"ABLATION_{name}", str(value))
    first = property_ablations.run(quick=False)
    said = capsys.readouterr().out
    assert "without angles" in said
    assert "finished before" not in said
    assert first["angles_formation"] != 1
    assert property_ablations.run(quick=False) == first
    assert capsys.readouterr().out.count("finished before") == 3
    kept = json.loads(next(tmp_path.glob("*/angles/ablation.json")).read_text())
    assert kept["experiment"]["network"]["angles"] is False
