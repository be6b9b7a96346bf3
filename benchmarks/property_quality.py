"""How far off the models are: band gaps on MatBench's fold 0, five properties on the test part of MP-20.

Beside them stand what was published for `mp_gap`, and for MP-20 a predictor that always says the mean and a
random forest on Magpie's features, both learning in this run from the labels that the model learnt from.
Errors of moduli are in log10(GPa). Whether the 95% intervals hold is counted on the same rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.harness import RESULTS
from benchmarks.property_models import MP20, MP_GAP, PROCESSES, Judged, judged, model_folders
from benchmarks.property_parity import Parity, draw_parity
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.evaluation.baselines import random_forest
from crystalmesh_property.evaluation.scoring import Predictions, Score, score
from crystalmesh_property.evaluation.splits import QUICK_ROWS, Split
from crystalmesh_property.model.predicting import estimate_members
from crystalmesh_property.properties import SCALES, Property
from crystalmesh_property.serving.provenance import Provenance

PUBLISHED_EV = {"CGCNN": 0.297, "ALIGNN": 0.186, "coGN": 0.156, "the autonomous loop": 0.148}
GAP_BARS_EV = {"cpu": 0.30, "cuda": 0.19}
FORMATION_ENERGY_BAR_EV, FORMATION_ENERGY_GOAL_EV = 0.06, 0.03
COVERAGE_BARS = (0.90, 0.98)
FOREST_TREES = 200
QUICK_FOREST_ROWS, QUICK_FOREST_TREES = 8000, 20

FIGURES = {
    Property.FORMATION_ENERGY: "e_form_mae_ev",
    Property.ENERGY_ABOVE_HULL: "hull_mae_ev",
    Property.BULK_MODULUS: "k_log10_mae",
    Property.MAGNETIZATION: "magnetization_mae",
    Property.SHEAR_MODULUS: "g_log10_mae",
    Property.BAND_GAP: "mp20_gap_mae_ev",
}
NEEDS = ((MP_GAP, (Property.BAND_GAP,)), (MP20, tuple(FIGURES)[:4]))
HELD_OUT = "held out of mp_elastic"
"""MP-20 has no shear moduli: they are judged by compositions that it has not."""

Scores = Mapping[Property, Score]


def run(quick: bool) -> dict[str, float]:
    """Errors and coverages of both models, and the baselines'; a picture of all goes to `results`."""
    folders = model_folders((MP_GAP, MP20))
    gap, mp20 = (_needing(judged(task, folders[task]), names) for task, names in NEEDS)
    gap_split, mp20_split = (each.split.quick() if quick else each.split for each in (gap, mp20))
    if quick:
        print(f"QUICK: {QUICK_ROWS:,} fixed random rows of each test part, and a smaller forest")
    figures, parities = _gap_figures(gap, gap_split)
    found, more = _mp20_figures(mp20, mp20_split, quick=quick)
    figures |= found
    coverage = pooled_coverage([each.score for each in (*parities, *more)])
    print(f"all intervals together hold {coverage:.1%} of the labels: {_in_band(coverage)}")
    RESULTS.mkdir(exist_ok=True)
    picture = RESULTS / "property_parity.png"
    draw_parity([*parities, *more], picture)
    print(f"parity plots: {os.path.relpath(picture)}")
    return figures | {"coverage95": coverage}


def _needing(found: Judged, names: Sequence[Property]) -> Judged:
    if missing := [name for name in names if name not in found.experiment.properties]:
        raise InvalidFieldError(f"the model in {found.folder} does not predict {', '.join(missing)}")
    return found


def predicted(model: Judged, split: Split) -> Predictions:
    """What a model says of the test part of a split."""
    names = model.model.network.properties
    estimates = estimate_members(
        model.model.network, model.pool, model.pool.edge_counts, split.test, workers=PROCESSES
    )
    ends = estimates.in_units(names, [model.model.interval_factors[name] for name in names])
    return Predictions(names, [model.pool.ids[index] for index in split.test], *ends)


def pooled_coverage(scores: Sequence[Score]) -> float:
    """What part of all labels lies in its interval, each label counting once."""
    crystals = np.array([each.crystals for each in scores])
    return float(np.average([each.coverage95 for each in scores], weights=crystals))


def _scored(model: Judged, split: Split) -> tuple[Scores, list[Parity]]:
    started = time.perf_counter()
    predictions = predicted(model, split)
    seconds = time.perf_counter() - started
    scores = {each.property: each for each in score(predictions, model.pool, split)}
    print(f"\n{model.task.judged_part}: {len(split.test):,} rows, predicted in {seconds:.0f} s")
    print(f"model in {model.folder}: {_budget(model)}")
    parities = []
    for name, each in scores.items():
        truth = model.pool.labels[split.test, list(Property).index(name)].astype(np.float64)
        known = np.isfinite(SCALES[name].inward(truth))
        value = predictions.values[:, predictions.properties.index(name)]
        judged_by = HELD_OUT if name is Property.SHEAR_MODULUS else model.task.judged_part
        parities.append(Parity(each, judged_by, truth[known], value[known]))
    return scores, parities


def _budget(model: Judged) -> str:
    """How long it was trained on what, as its training wrote it down."""
    said = Provenance.of(model.model.provenance)
    threads = "" if _hardware(model) == "cuda" else f", threads: {model.experiment.machine.workers}"
    return (
        f"trained for {said.training_seconds / 60:.0f} min, {said.steps:,} steps, "
        f"{said.epochs:.1f} times through {said.crystals.train:,} crystals, on {said.machine}"
        f"{threads}; {sum(each.numel() for each in model.model.network.parameters()):,} numbers"
    )


def _hardware(model: Judged) -> str:
    return "cuda" if "cuda:" in Provenance.of(model.model.provenance).machine else "cpu"


def _gap_figures(model: Judged, split: Split) -> tuple[dict[str, float], list[Parity]]:
    scores, parities = _scored(model, split)
    found = scores[Property.BAND_GAP]
    hardware = _hardware(model)
    bar = GAP_BARS_EV[hardware]
    print(f"{'MAE, eV':>34}")
    for name, value in {"the mean": found.mae_of_mean, **PUBLISHED_EV, "this model": found.mae}.items():
        published = " (published)" if name in PUBLISHED_EV else ""
        print(f"  {name:24} {value:7.3f}{published}")
    print(f"the bar for a model trained on a {hardware} is {bar} eV: {_holds(found.mae <= bar)}")
    print(f"95% intervals hold {found.coverage95:.1%} of the labels: {_in_band(found.coverage95)}")
    return {
        "mp_gap_mae_ev": found.mae,
        "mp_gap_rmse_ev": found.rmse,
        "mp_gap_mean_predictor_ev": found.mae_of_mean,
        "mp_gap_coverage95": found.coverage95,
    }, parities


def _mp20_figures(model: Judged, split: Split, *, quick: bool) -> tuple[dict[str, float], list[Parity]]:
    scores, parities = _scored(model, split)
    forest = _forest(model, split, quick=quick)
    head = ("MAE", "mean", "forest", "of mean", "of forest", "in 95%")
    print(f"{'':38} {'rows':>6} " + " ".join(f"{each:>9}" for each in head))
    figures: dict[str, float] = {}
    for name, each in scores.items():
        other = forest[name].mae
        print(
            f"{name:38} {each.crystals:6,} {each.mae:9.4f} {each.mae_of_mean:9.4f} {other:9.4f} "
            f"{each.mae / each.mae_of_mean:9.1%} {each.mae / other:9.1%} {each.coverage95:9.1%}"
        )
        figure = FIGURES[name]
        figures |= {
            figure: each.mae,
            f"{figure}_mean_predictor": each.mae_of_mean,
            f"{figure}_forest": other,
            f"{figure}_coverage95": each.coverage95,
        }
    if Property.SHEAR_MODULUS in scores:
        print("MP-20 has no shear moduli: these rows are compositions of mp_elastic that MP-20 has not")
    error = scores[Property.FORMATION_ENERGY].mae
    print(
        f"the bar for formation energies is {FORMATION_ENERGY_BAR_EV} eV/atom: "
        f"{_holds(error <= FORMATION_ENERGY_BAR_EV)}; the goal is {FORMATION_ENERGY_GOAL_EV}: "
        f"{_holds(error <= FORMATION_ENERGY_GOAL_EV)}"
    )
    for name, each in scores.items():
        if not COVERAGE_BARS[0] <= each.coverage95 <= COVERAGE_BARS[1]:
            print(
                f"intervals of {name} hold {each.coverage95:.1%} of {each.crystals:,} labels: "
                f"{_in_band(each.coverage95)}"
            )
    return figures, parities


def _forest(model: Judged, split: Split, *, quick: bool) -> Scores:
    """The random forest on the same labels, hull distances that were computed for the model included."""
    started = time.perf_counter()
    learnt = split.fewer(QUICK_FOREST_ROWS, seed=0) if quick else split
    trees = QUICK_FOREST_TREES if quick else FOREST_TREES
    names = model.model.network.properties
    scores = random_forest(model.pool, learnt, names, threads=PROCESSES, trees=trees)
    print(
        f"a forest of {trees} trees on {len(learnt.train):,} of the {len(split.train):,} crystals "
        f"in {time.perf_counter() - started:.0f} s"
    )
    return {each.property: each for each in scores}


def _holds(held: bool) -> str:
    return "holds" if held else "MISSED"


def _in_band(coverage: float) -> str:
    low, high = COVERAGE_BARS
    return f"90 to 98% is required, {_holds(low <= coverage <= high)}"
