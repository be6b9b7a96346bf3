"""S.U.N.: stable, unique and novel, the rate that MatterGen (Zeni et al., Nature 2025) introduced.

A sample counts if it lies at or below a threshold above the hull after relaxation, its relaxed structure is
not in the training set, and it is the first of its structure among those. The share is of all samples that
were asked for, also of those that were no crystal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.quality.novelty import KnownCrystals, distinct, is_novel
from benchmarks.quality.relaxed import Relaxed
from benchmarks.quality.samples import share
from benchmarks.quality.stability import HullPlace

THRESHOLDS_EV_PER_ATOM = (0.0, 0.1)


@dataclass(frozen=True)
class SunRate:
    """How many samples are stable, unique and novel."""

    reference: str  # the hull's name
    threshold_ev_per_atom: float
    count: int
    rate: float  # of all that were asked for


def sun_rates(
    relaxed: Sequence[Relaxed | None],
    places: Sequence[HullPlace],
    known: KnownCrystals,
    *,
    reference: str,
) -> list[SunRate]:
    """The rate at each threshold; one relaxed crystal and one place per sample that was asked for."""
    rates = []
    for threshold in THRESHOLDS_EV_PER_ATOM:
        stable = [
            sample.crystal
            for sample, place in zip(relaxed, places, strict=True)
            if sample is not None and sample.crystal is not None and _at_most(place, threshold)
        ]
        count = distinct([crystal for crystal in stable if is_novel(crystal, known)])
        rates.append(SunRate(reference, threshold, count, share(count, len(relaxed))))
    return rates


def _at_most(place: HullPlace, threshold: float) -> bool:
    return place.ev_per_atom is not None and place.ev_per_atom <= threshold
