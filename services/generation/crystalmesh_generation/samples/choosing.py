"""Which of several proposals for one sample is kept. What a benchmark may tune is all here."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from crystalmesh_common.crystal.composition import Composition, reduced_composition
from crystalmesh_generation.samples.proposals import Proposal

_ENERGY = "energy_above_hull_ev_per_atom"
_FORMATION = "formation_energy_ev_per_atom"


def best_of(proposals: Sequence[Proposal], known: Collection[Composition]) -> Proposal:
    """The best of at least one proposal; of equal ones the first.

    A possible crystal before an impossible one, one that meets the target before one that misses more of it,
    a formula that is not known already before one that is, then the lowest predicted energy above the hull: a
    screen's, else the regression head's.
    """
    return min(proposals, key=lambda proposal: _faults(proposal, known))


def _faults(proposal: Proposal, known: Collection[Composition]) -> tuple[bool, bool, int, bool, int, float]:
    judged = proposal.judgement
    return (
        not judged.structure_valid,
        not judged.composition_valid,
        len(judged.missed),
        reduced_composition(proposal.crystal) in known,
        *_energy(proposal),
    )


def _energy(proposal: Proposal) -> tuple[int, float]:
    """Above the hull; of formation, which compares with its like only, comes after; and nothing last."""
    hull = proposal.hull_ev_per_atom
    values = (proposal.values.get(_ENERGY) if hull is None else hull, proposal.values.get(_FORMATION))
    for rank, value in enumerate(values):
        if value is not None and math.isfinite(value):
            return rank, value
    return len(values), 0.0
