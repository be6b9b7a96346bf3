"""Validity as CDVAE defines it (Xie et al., ICLR 2022, section 5 and its `compute_metrics.py`).

Structural: every two atoms more than 0.5 Å apart, more than 0.1 Å³ of volume. Compositional: SMACT finds
oxidation states that balance. Gruver et al. (ICLR 2024) use the same code; MatExpert is taken to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.quality.samples import Sample, share
from crystalmesh_common.crystal.generative_validity import Validity, validity_of


@dataclass(frozen=True)
class ValidityRates:
    """Shares of all samples that were asked for."""

    parsed: float
    structural: float
    compositional: float
    valid: float  # both


def validities(samples: Sequence[Sample]) -> list[Validity | None]:
    """Each sample's validity; None for what is no crystal."""
    return [None if sample.crystal is None else validity_of(sample.crystal) for sample in samples]


def validity_rates(found: Sequence[Validity | None]) -> ValidityRates:
    """The shares; what is no crystal counts as invalid both ways."""
    known = [validity for validity in found if validity is not None]
    return ValidityRates(
        parsed=share(len(known), len(found)),
        structural=share(sum(validity.structural for validity in known), len(found)),
        compositional=share(sum(validity.compositional for validity in known), len(found)),
        valid=share(sum(validity.valid for validity in known), len(found)),
    )
