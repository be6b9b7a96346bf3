"""Which of several proposals for one sample is kept. What a benchmark may tune is all here."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from crystalmesh_common.crystal.composition import Composition, reduced_composition
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_generation.samples.proposals import Proposal

_ENERGY = "energy_above_hull_ev_per_atom"
_FORMATION = "formation_energy_ev_per_atom"

_SPREADS: Mapping[str, float] = {
    _FORMATION: 1.0,
    "band_gap_ev": 1.5,
    "bulk_modulus_gpa": 70.0,
    "shear_modulus_gpa": 40.0,
    "magnetization_mu_b_per_cubic_angstrom": 0.03,
}
"""Whose ranges count, and about one standard deviation among known materials. A range of the energy above the
hull is no part of it: the lowest is kept anyway."""


def screened_for(ranges: Mapping[str, Range]) -> frozenset[str]:
    """What a screen is to predict where a target has these ranges, by the names in the API."""
    return frozenset({_ENERGY, *(_SPREADS.keys() & ranges.keys())})


def contenders(proposals: Sequence[Proposal], *known: Collection[Composition]) -> list[Proposal]:
    """Those of at least one proposal that nothing but their values can tell apart; the others are worse."""
    faults = [_own_faults(proposal, known) for proposal in proposals]
    least = min(faults)
    return [proposal for proposal, each in zip(proposals, faults, strict=True) if each == least]


def best_of(
    proposals: Sequence[Proposal], ranges: Mapping[str, Range], *known: Collection[Composition]
) -> Proposal:
    """The best of at least one proposal; of equal ones the first.

    A possible crystal before an impossible one, one that meets the target, as far as the crystal alone shows
    it, before one that misses more; a formula that is not known already before one that is: known materials
    lie within ranges the more often, and nobody asks for them. Then fewer of the target's ranges missed by
    the values that a screen predicts, then closer to them, then the lowest predicted energy above the hull: a
    screen's, else the regression head's.
    """
    return min(proposals, key=lambda proposal: _faults(proposal, ranges, known))


def _own_faults(proposal: Proposal, known: Sequence[Collection[Composition]]) -> tuple[bool, bool, int, bool]:
    """What the crystal alone shows."""
    judged = proposal.judgement
    return (
        not judged.validity.structural,
        not judged.validity.compositional,
        len(judged.missed),
        any(reduced_composition(proposal.crystal) in formulas for formulas in known),
    )


def _faults(
    proposal: Proposal, ranges: Mapping[str, Range], known: Sequence[Collection[Composition]]
) -> tuple[bool, bool, int, bool, int, float, int, float]:
    outside = [
        _outside(proposal.screened[name], wanted) / _SPREADS[name]
        for name, wanted in ranges.items()
        if name in _SPREADS and name in proposal.screened
    ]
    return (
        *_own_faults(proposal, known),
        sum(distance > 0 for distance in outside),
        sum(outside),
        *_energy(proposal),
    )


def _outside(value: float, wanted: Range) -> float:
    """How far a value lies outside its range; 0 within."""
    below = 0.0 if wanted.min is None else wanted.min - value
    above = 0.0 if wanted.max is None else value - wanted.max
    return max(below, above, 0.0)


def _energy(proposal: Proposal) -> tuple[int, float]:
    """Above the hull; of formation, which compares with its like only, comes after; and nothing last."""
    hull = proposal.screened.get(_ENERGY, proposal.values.get(_ENERGY))
    for rank, value in enumerate((hull, proposal.values.get(_FORMATION))):
        if value is not None and math.isfinite(value):
            return rank, value
    return 2, 0.0
