"""Generation: what the shipped model and substitution make, beside published figures and a plain baseline.

Unconditional samples draw a reference from MP-20's train part; conditional ones are asked for the formula and
the space group of crystals of MP-20's test part. Both are made by the service as it runs by default, by the
language model alone, and with its parts left out. Beside them a plain baseline: one random element of a
random crystal of the train part becomes one of the six chemically nearest. All are measured by
`benchmarks.quality`; rates are a part of their own, `generation_speed`, and so are the values that the
regression head tells, `generation_values`.

CRYSTALMESH_BENCH_MODEL names a model's folder to measure in the place of the shipped one, GENERATION_SAMPLES
another number of samples, GENERATION_SETS only some of the sets. Without a model, what needs one is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import generation_speed, generation_values
from benchmarks.generation_baselines import one_element, sources
from benchmarks.generation_samples import Generator, Made, generator, has_model
from benchmarks.generation_targets import Condition, conditional, unconditional
from benchmarks.harness import record
from benchmarks.quality.conditions import Satisfaction, kept, satisfaction
from benchmarks.quality.mp20 import ReferenceSets, mp20
from benchmarks.quality.report import FIGURES, Quality, Workplace, quality_of, table
from benchmarks.quality.samples import Sample

SAMPLES, QUICK_SAMPLES = 1000, 64
_QUICK_TEST = 500
_HULL = "mp20-dft"

DEFAULT, MODEL_ALONE, SUBSTITUTION = "default", "model", "substitution"
NO_TRANSITION, NO_REFERENCE, BASELINE = "no transition", "no reference", "one-element baseline"
ASKED, ASKED_MODEL, ASKED_SUBSTITUTION = "asked: default", "asked: model", "asked: substitution"
UNCONDITIONAL: Mapping[str, Mapping[str, object]] = {
    DEFAULT: {},
    MODEL_ALONE: {"generator": "language_model"},
    SUBSTITUTION: {"generator": "ionic_substitution"},
    NO_TRANSITION: {"generator": "language_model", "skip_transition": True},
    NO_REFERENCE: {"generator": "language_model", "missing_reference": "omit"},
}
CONDITIONAL: Mapping[str, Mapping[str, object]] = {
    ASKED: {"symmetrize": True},
    ASKED_MODEL: {"generator": "language_model"},
    ASKED_SUBSTITUTION: {"generator": "ionic_substitution"},
}


@dataclass(frozen=True, eq=False)
class Measured:
    """One set of samples with what was found."""

    made: Made
    quality: Quality
    satisfaction: Satisfaction | None = None

    @property
    def sun_per_cpu_second(self) -> float:
        """Stable, unique and novel crystals by the CPU seconds of making and relaxing them."""
        energetics = self.quality.energetics
        if energetics is None:
            return float("nan")
        return (
            self.quality.figures()["sun"]
            * self.quality.asked
            / (self.made.cpu_seconds + energetics.relaxing_cpu_s)
        )


def run(quick: bool) -> dict[str, float]:
    """All sets, rates and values; the last line has the figures of the default."""
    count = int(os.environ.get("GENERATION_SAMPLES", QUICK_SAMPLES if quick else SAMPLES))
    print(f"{count} samples of each set", flush=True)
    sets = mp20(test_count=_QUICK_TEST if quick else None)
    measured: dict[str, Measured] = {}
    targets = conditional(count)
    with generator() as service:
        made = [service.make(name, unconditional(count), **how) for name, how in _chosen(UNCONDITIONAL)]
        asked = [_asked(service, name, targets, how) for name, how in _chosen(CONDITIONAL)]
    for each in [*made, _baseline(count)]:
        measured[each.name] = _measured(each, sets)
    for each in asked:
        measured[each.name] = _measured(each, sets, targets)
    print(table({name: each.quality for name, each in measured.items()}))
    for name, found in measured.items():
        _tell(name, found)
    parts = dict.fromkeys(("valid_per_s", "constrained_ratio"), float("nan"))
    for part in (generation_speed, generation_values) if has_model() else ():
        name = part.__name__.removeprefix("benchmarks.")
        print(f"\n== {name}", flush=True)
        figures = part.run(quick)
        record(name, quick, figures)
        parts |= figures
    return _figures(measured, parts)


def _chosen(sets: Mapping[str, Mapping[str, object]]) -> list[tuple[str, Mapping[str, object]]]:
    names = [name.strip() for name in os.environ.get("GENERATION_SETS", "").split(",") if name.strip()]
    chosen = [(name, how) for name, how in sets.items() if not names or name in names]
    if has_model():
        return chosen
    return [(name, how) for name, how in chosen if how.get("generator") != "language_model"]


def _asked(service: Generator, name: str, targets: Sequence[Condition], how: Mapping[str, object]) -> Made:
    return service.make(name, [target.prompt for target in targets], **how)


def _baseline(count: int) -> Made:
    found = one_element(sources(), count, seed=0)
    samples = [Sample(crystal) for crystal in found.crystals]
    return Made(BASELINE, samples, [None] * len(samples), found.cpu_seconds)


def _measured(made: Made, sets: ReferenceSets, targets: Sequence[Condition] = ()) -> Measured:
    began = time.perf_counter()
    quality = quality_of(made.samples, sets, Workplace(processes=2, threads=2))
    print(f"{made.name}: measured in {time.perf_counter() - began:.0f} s", flush=True)
    if not targets or quality.energetics is None:
        return Measured(made, quality)
    places = quality.energetics.places[_HULL]
    answers = [
        kept(target.conditions, sample.crystal, place)
        for target, sample, place in zip(targets, made.samples, places, strict=True)
    ]
    return Measured(made, quality, satisfaction(answers))


def _tell(name: str, each: Measured) -> None:
    print(
        f"{name}: {each.made.cpu_seconds:.1f} CPU s to make {each.quality.asked}, "
        f"{each.sun_per_cpu_second:.3f} S.U.N. a CPU second"
    )
    if each.satisfaction is not None:
        said = each.satisfaction
        print(
            f"  formula {said.formula:.1%}, space group {said.space_group:.1%}, "
            f"at most 0.1 eV/atom above the hull {said.hull_distance:.1%}, all of it {said.everything:.1%}"
        )


def _figures(measured: Mapping[str, Measured], parts: Mapping[str, float]) -> dict[str, float]:
    nan = float("nan")
    default, baseline = measured.get(DEFAULT), measured[BASELINE]
    figures = default.quality.figures() if default else dict.fromkeys(FIGURES, nan)
    asked = measured[ASKED].satisfaction if ASKED in measured else None
    return {
        **{
            name: figures[name]
            for name in ("struct_validity", "comp_validity", "cov_recall", "cov_precision")
        },
        "wdist_density": figures["wdist_density"],
        "wdist_nel": figures["wdist_nel"],
        "metastable": figures["metastable"],
        "sun": figures["sun"],
        "baseline_metastable": baseline.quality.figures()["metastable"],
        "baseline_sun": baseline.quality.figures()["sun"],
        "sun_per_cpu_s": default.sun_per_cpu_second if default else nan,
        "baseline_sun_per_cpu_s": baseline.sun_per_cpu_second,
        "formula_ok": asked.formula if asked else nan,
        "spacegroup_ok": asked.space_group if asked else nan,
        "valid_per_s": parts["valid_per_s"],
        "constrained_ratio": parts["constrained_ratio"],
    }
