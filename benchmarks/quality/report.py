"""All measures of one set of samples, and a table of several sets beside published figures."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.coverage import Coverage, coverage_of
from benchmarks.quality.distributions import DistributionDistances, distribution_distances
from benchmarks.quality.fingerprints import Fingerprints, Progress, fingerprints_of
from benchmarks.quality.ledger import Ledger
from benchmarks.quality.mp20 import ReferenceSets
from benchmarks.quality.novelty import Diversity, Novelty, diversity_of, novelty_of
from benchmarks.quality.relaxed import Relaxed, relaxed_of
from benchmarks.quality.samples import Sample
from benchmarks.quality.stability import HullPlace, StabilityRates, place, stability_rates
from benchmarks.quality.sun import SunRate, sun_rates
from benchmarks.quality.validity import ValidityRates, validities, validity_rates
from crystalmesh_common.crystal.structure import Crystal

KEPT = Path(__file__).resolve().parents[2] / "build" / "quality"
FIGURES = (
    "struct_validity",
    "comp_validity",
    "cov_recall",
    "cov_precision",
    "wdist_density",
    "wdist_nel",
    "metastable",
    "stable",
    "sun",
    "sun_metastable",
)
PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "MatExpert": {
        "struct_validity": 0.998,
        "comp_validity": 0.961,
        "cov_recall": 0.986,
        "cov_precision": 0.991,
        "wdist_density": 0.18,
        "wdist_nel": 0.04,
        "metastable": 0.51,
    },
    "CDVAE": {
        "struct_validity": 1.0,
        "comp_validity": 0.867,
        "cov_recall": 0.9915,
        "cov_precision": 0.9949,
        "wdist_density": 0.688,
        "wdist_nel": 1.432,
    },
}
"""MP-20, unconditional. Their hulls and potentials are others than ours, so metastable compares roughly."""


@dataclass(frozen=True)
class Workplace:
    """Where results are kept, and what may be used to get them."""

    kept: Path = KEPT
    processes: int = 1  # for fingerprints
    threads: int = 1  # for relaxations
    relaxed_samples: int | None = None  # stability and S.U.N. of the first so many samples; None: of all
    progress: Progress | None = None


@dataclass(frozen=True, eq=False)
class Energetics:
    """What relaxing tells. `relaxed` and each of `places` have one item per sample that was asked for."""

    stability: Sequence[StabilityRates]  # by hull, the first counts
    sun: Sequence[SunRate]  # by hull and threshold
    relaxed: Sequence[Relaxed | None]  # None: the sample was no crystal
    places: Mapping[str, Sequence[HullPlace]]  # by hull
    relaxing_cpu_s: float  # now, or when it was done


@dataclass(frozen=True, eq=False)
class Quality:
    """All measures of one set."""

    asked: int
    validity: ValidityRates
    coverage: Coverage
    distances: DistributionDistances
    novelty: Novelty
    diversity: Diversity
    energetics: Energetics | None  # None: nothing was to be relaxed
    seconds: Mapping[str, float]  # by measure, on the clock, without what was kept from before

    def figures(self) -> dict[str, float]:
        """The figures of the table, by the names of `FIGURES`; stability against the first hull."""
        known = self.energetics
        sun = {rate.threshold_ev_per_atom: rate.rate for rate in reversed(known.sun)} if known else {}
        first = known.stability[0] if known else None
        return {
            "struct_validity": self.validity.structural,
            "comp_validity": self.validity.compositional,
            "cov_recall": self.coverage.recall,
            "cov_precision": self.coverage.precision,
            "wdist_density": self.distances.density_g_per_cubic_centimeter,
            "wdist_nel": self.distances.elements,
            "metastable": first.metastable if first else math.nan,
            "stable": first.stable if first else math.nan,
            "sun": sun.get(0.0, math.nan),
            "sun_metastable": sun.get(0.1, math.nan),
        }


def quality_of(samples: Sequence[Sample], sets: ReferenceSets, workplace: Workplace | None = None) -> Quality:
    """Measure a set of samples against reference sets.

    Fingerprints and relaxations are kept in the workplace by content, so a second call is quick and one that
    was killed goes on. `relaxed_samples=0` leaves stability and S.U.N. out.
    """
    at = workplace or Workplace()
    clock = _Clock()
    with clock("validity"):
        found = validities(samples)
    valid = [
        sample.crystal
        for sample, validity in zip(samples, found, strict=True)
        if sample.crystal is not None and validity is not None and validity.valid
    ]
    with clock("test fingerprints"):
        test = _fingerprints(sets.test, sets, at)
    with clock("fingerprints"):
        generated = _fingerprints(valid, sets, at)
    with clock("coverage"):
        coverage = coverage_of(generated, test, asked=len(samples))
        diversity = diversity_of(generated)
    with clock("distributions"):
        distances = distribution_distances(valid, sets.test)
    with clock("novelty"):
        novelty = novelty_of(valid, sets.known, sets.known_compositions)
    return Quality(
        asked=len(samples),
        validity=validity_rates(found),
        coverage=coverage,
        distances=distances,
        novelty=novelty,
        diversity=diversity,
        energetics=_energetics(samples[: at.relaxed_samples], sets, at, clock),
        seconds=clock.seconds,
    )


def _fingerprints(crystals: Sequence[Crystal], sets: ReferenceSets, at: Workplace) -> Fingerprints:
    ledger = Ledger(at.kept / "fingerprints.jsonl")
    return fingerprints_of(
        crystals, sets.standardisation, ledger, processes=at.processes, progress=at.progress
    )


def _energetics(
    samples: Sequence[Sample], sets: ReferenceSets, at: Workplace, clock: _Clock
) -> Energetics | None:
    if not samples:
        return None
    crystals = [sample.crystal for sample in samples if sample.crystal is not None]
    with clock("relaxing"):
        ledger = Ledger(at.kept / "relaxations.jsonl")
        found, cpu_s = relaxed_of(crystals, ledger, threads=at.threads, progress=at.progress)
    coming = iter(found)
    relaxed = [None if sample.crystal is None else next(coming) for sample in samples]
    with clock("stability"):
        places = {hull.name: [place(each, hull) for each in relaxed] for hull in sets.hulls}
    with clock("sun"):
        sun = [
            rate for name in places for rate in sun_rates(relaxed, places[name], sets.known, reference=name)
        ]
    rates = [stability_rates(places[hull.name], hull) for hull in sets.hulls]
    return Energetics(rates, sun, relaxed, places, cpu_s)


class _Clock:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began


def table(sets: Mapping[str, Quality | Mapping[str, float]]) -> str:
    """Figures of named sets, one row each, above the published ones; a dash where there is none."""
    rows = {name: each.figures() if isinstance(each, Quality) else each for name, each in sets.items()}
    lines = [["", *FIGURES]]
    for name, figures in {**rows, **{f"{name} (published)": row for name, row in PUBLISHED.items()}}.items():
        lines.append([name, *(_cell(figures.get(figure, math.nan)) for figure in FIGURES)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if k == 0 else cell.rjust(width) for k, (cell, width) in enumerate(row))
        for row in (list(zip(line, widths, strict=True)) for line in lines)
    )


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def details(quality: Quality) -> str:
    """What the table has no room for, in lines."""
    validity, novelty, diversity = quality.validity, quality.novelty, quality.diversity
    lines = [
        f"{quality.asked} samples: {validity.parsed:.1%} crystals, {validity.valid:.1%} valid, of which",
        f"  unique {novelty.unique:.1%}, novel {novelty.novel:.1%}, both {novelty.unique_and_novel:.1%}",
        f"  of a novel formula {novelty.novel_formula:.1%}",
        f"diversity: {diversity.structure:.3f} by structure, {diversity.composition:.2f} by composition",
        f"coverage precision of all samples: {quality.coverage.precision_of_all:.3f}",
    ]
    return "\n".join(lines if quality.energetics is None else lines + _energetic_lines(quality.energetics))


def _energetic_lines(known: Energetics) -> list[str]:
    lines = [
        f"{rate.reference}: {rate.stable:.1%} at or below the hull, {rate.metastable:.1%} below 0.1 eV/atom "
        f"({rate.metastable_of_placed:.1%} of the {rate.placed} of {rate.asked} that have a place), "
        f"{rate.converged:.1%} converged, median {rate.median_ev_per_atom:.3f} eV/atom"
        for rate in known.stability
    ]
    lines += [
        f"{rate.reference}: S.U.N. at {rate.threshold_ev_per_atom:g} eV/atom {rate.rate:.1%} ({rate.count})"
        for rate in known.sun
    ]
    per = known.relaxing_cpu_s / len(known.relaxed)
    return [*lines, f"relaxing: {known.relaxing_cpu_s:.0f} CPU seconds, {per:.2f} a sample"]
