"""What the regression head says of crystals, beside the graph networks, on the same rows of MP-20 test."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.crystals import crystals_of
from benchmarks.datasets import dataset
from benchmarks.generation_samples import MODEL
from benchmarks.property_models import MP20, MP_GAP, model_folders
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_generation.engines.transformers_engine import TransformersEngine
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.language.templates import facts_prompt
from crystalmesh_generation.model.files import load_model
from crystalmesh_generation.pairs.standard import standard_setting
from crystalmesh_generation.serving.folders import SHIPPED, find_models
from crystalmesh_generation.training.corpus import LABELS
from crystalmesh_property.serving.models import ServedModels
from crystalmesh_property.serving.predictor import Predictor


def run(quick: bool) -> dict[str, float]:
    """Mean absolute errors of both, in the properties' units."""
    table = pd.read_parquet(dataset("mp20/test.parquet")).sample(400 if quick else 4000, random_state=0)
    crystals = crystals_of(table)
    head, network = head_values(crystals), network_values(crystals)
    figures: dict[str, float] = {}
    print(f"{len(crystals)} crystals; MAE of the regression head, the graph network, and the mean")
    for name, column in LABELS.items():
        labels = table[column].to_numpy(dtype=np.float64)
        errors = {
            which: _mae(found.get(name), labels) for which, found in (("head", head), ("network", network))
        }
        mean = float(np.nanmean(np.abs(labels - np.nanmean(labels))))
        print(f"  {name:40} {errors['head']:.4f}  {errors['network']:.4f}  {mean:.4f}")
        figures |= {f"{which}_{name}": error for which, error in errors.items()}
    return figures


def head_values(crystals: list[Crystal]) -> dict[str, FloatArray]:
    """By property. Raises ValueError for a cell that ALX has no numbers for."""
    named = os.environ.get(MODEL)
    folders = find_models([Path(named)], None) if named else find_models((), SHIPPED)
    loaded = load_model(folders[0].path)
    torch.set_num_threads(2)
    engine = TransformersEngine(loaded)
    prompts = [loaded.tokenizer.encode(facts_prompt(write_alx(standard_setting(each)))) for each in crystals]
    told = engine.values(prompts)
    return {name: np.array([each.get(name, np.nan) for each in told]) for name in told[0]}


def network_values(crystals: list[Crystal]) -> dict[str, FloatArray]:
    """By property, of the shipped graph networks."""
    folders = tuple(ModelFolder(task.name, path) for task, path in model_folders((MP_GAP, MP20)).items())
    predictor = Predictor.load(folders, "cpu")
    served = ServedModels(folders)
    served.loaded(predictor.infos)
    outcomes = predictor.predict(crystals, served.plan("", ()))
    names = {value.property for outcome in outcomes for value in getattr(outcome, "values", ())}
    return {
        str(name): np.array(
            [
                next((each.value for each in getattr(outcome, "values", ()) if each.property == name), np.nan)
                for outcome in outcomes
            ]
        )
        for name in names
    }


def _mae(
    found: FloatArray | None,
    labels: FloatArray,
) -> float:
    if found is None:
        return float("nan")
    return float(np.nanmean(np.abs(found - labels)))
