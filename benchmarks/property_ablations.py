"""What each ingredient of the network is worth: short trainings of `mp20`, one with each switched off.

All learn from the same rows in the same number of steps and from the same seed, and are compared on the
validation part, which they are stopped and chosen by; the test part has no say here. A second whole network
with another seed shows what is noise. Every training has a folder in `build/property/ablations`: one that is
finished is reused, one that was interrupted goes on.

ABLATION_STEPS, ABLATION_ROWS, ABLATION_WIDTH and ABLATION_LAYERS change the size; ABLATION_ONLY=whole,angles
takes some of them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.property_models import PROCESSES, rows_of
from crystalmesh_common.runtime.durable import write_file
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.splits import Split
from crystalmesh_property.model.files import load_model
from crystalmesh_property.model.objective import scaled_labels
from crystalmesh_property.model.predicting import estimate_members
from crystalmesh_property.properties import Property
from crystalmesh_property.training.experiment import Experiment
from crystalmesh_property.training.experiment import experiment_of as shipped_experiment
from crystalmesh_property.training.trainer import Report, Trainer

RUNS = Path("build") / "property" / "ablations"
WHOLE, AGAIN = "whole", "another seed"
CHANGES: Mapping[str, tuple[str, ...]] = {
    WHOLE: (),
    AGAIN: ("seed=1",),
    "element_pairs": ("network.element_pairs=false",),
    "space_group": ("network.space_group=false",),
    "angles": ("network.angles=false",),
    "edge_updates": ("network.edge_updates=false",),
    "attention": ("network.attention=false",),
    "moving_average": ("optimization.average=0.0",),
}
SHORT = {
    Property.FORMATION_ENERGY: "formation",
    Property.BAND_GAP: "gap",
    Property.ENERGY_ABOVE_HULL: "hull",
    Property.BULK_MODULUS: "K",
    Property.SHEAR_MODULUS: "G",
    Property.MAGNETIZATION: "magnetization",
}
_QUICK_JUDGED = 2000
_RESULT = "ablation.json"

Errors = Mapping[Property, float]


@dataclass(frozen=True)
class Size:
    """How large each training is."""

    steps: int
    rows: int
    width: int
    layers: int

    @classmethod
    def chosen(cls, *, quick: bool) -> Size:
        """The usual one, with what the environment says instead."""
        usual = {"steps": 100, "rows": 2000, "width": 32, "layers": 2} if quick else {
            "steps": 1500, "rows": 8000, "width": 64, "layers": 3,
        }  # fmt: skip
        said = {name: os.environ.get(f"ABLATION_{name.upper()}") for name in usual}
        return cls(**{name: int(said[name] or value) for name, value in usual.items()})

    @property
    def folder(self) -> Path:
        return RUNS / f"{self.steps}-steps-{self.rows}-rows-{self.width}-wide-{self.layers}-layers"


def run(quick: bool) -> dict[str, float]:
    """How much larger each validation error is without each ingredient, as a ratio; 1 is no difference."""
    size = Size.chosen(quick=quick)
    names = _names()
    print(f"{size.steps} steps on {size.rows} rows, {size.width} wide, {size.layers} layers: {size.folder}")
    experiments = {name: experiment_of(size, CHANGES[name]) for name in names}
    # The seed chooses rows, too: all learn from those of the whole network.
    pool, split = rows_of(experiments[WHOLE])
    split = judged_by(split, quick=quick)
    errors = {name: trained(experiments[name], pool, split, size.folder / name) for name in names}
    for line in table_of(errors):
        print(line)
    whole = errors[WHOLE]
    return {
        f"{name.replace(' ', '_')}_{SHORT[each]}": errors[name][each] / whole[each]
        for name in names
        if name != WHOLE
        for each in (Property.FORMATION_ENERGY, Property.BAND_GAP, Property.ENERGY_ABOVE_HULL)
        if each in whole
    } | {f"whole_{SHORT[each]}_mae": value for each, value in whole.items()}


def _names() -> list[str]:
    asked = [name.strip() for name in os.environ.get("ABLATION_ONLY", "").split(",") if name.strip()]
    if unknown := [name for name in asked if name not in CHANGES]:
        sys.exit(f"ABLATION_ONLY: {', '.join(unknown)} is none of {', '.join(CHANGES)}")
    return [name for name in CHANGES if not asked or name in asked or name == WHOLE]


def experiment_of(size: Size, changes: Sequence[str]) -> Experiment:
    """The shipped experiment `mp20`, small, in a fixed number of steps."""
    experiment = shipped_experiment(
        Path("mp20"),
        (
            f"data.rows={size.rows}",
            f"network.width={size.width}",
            f"network.layers={size.layers}",
            'machine.device="cpu"',
            *changes,
        ),
    )
    budget = experiment.budget.model_copy(update={"minutes": None, "steps": size.steps, "checks": 3})
    return experiment.model_copy(update={"budget": budget})


def judged_by(split: Split, *, quick: bool) -> Split:
    """The same with a fixed part of the validation rows in `quick`, and hardly a test part."""
    chosen = np.random.default_rng(0).permutation(split.validation)
    validation = np.sort(chosen[:_QUICK_JUDGED]) if quick else split.validation
    return replace(split, validation=validation, test=split.test[:1])


def trained(experiment: Experiment, pool: GraphPool, split: Split, folder: Path) -> Errors:
    """The validation errors after a training, out of its folder where it was finished before."""
    said = {"experiment": experiment.model_dump(mode="json"), "validation": len(split.validation)}
    result = folder / _RESULT
    if result.exists():
        found = json.loads(result.read_bytes())
        if {name: found[name] for name in said} == said:
            print(f"{folder.name}: finished before")
            return {Property(name): value for name, value in found["mae"].items()}

    def tell(report: Report) -> None:
        if report.check is not None:
            print(
                f"{folder.name}: step {report.step}, {report.check.seconds:.0f} s, "
                f"validation {report.check.validation:.4f}",
                flush=True,
            )

    Trainer(experiment, pool, split, folder, tell).run()
    errors = validation_errors(folder / "model", pool, split)
    write_file(result, json.dumps({**said, "mae": errors}, indent=1).encode())
    return errors


def validation_errors(model: Path, pool: GraphPool, split: Split) -> Errors:
    """Mean absolute errors on the validation part, each on its property's scale."""
    network = load_model(model).network
    found = estimate_members(network, pool, pool.edge_counts, split.validation, workers=PROCESSES)
    labels = scaled_labels(pool.labels[split.validation], network.properties)
    errors = np.abs(found.values - labels)
    return {name: float(np.nanmean(errors[:, n])) for n, name in enumerate(network.properties)}


def table_of(errors: Mapping[str, Errors]) -> list[str]:
    """A line for each training: its errors, and how much larger than the whole network's they are."""
    whole = errors[WHOLE]
    lines = [f"{'':24}" + "".join(f"{SHORT[name]:>22}" for name in whole)]
    for name, found in errors.items():
        words = name if name in (WHOLE, AGAIN) else f"without {name}"
        cells = (f"{found[each]:12.4f} ({found[each] / whole[each] - 1:+6.1%})" for each in whole)
        lines.append(f"{words:24}" + "".join(f"{cell:>22}" for cell in cells))
    return lines
