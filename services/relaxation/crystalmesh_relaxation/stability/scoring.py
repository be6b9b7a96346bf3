"""A phase and its energy against a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crystalmesh_common.runtime.errors import MixedEnergySchemesError
from crystalmesh_relaxation.relaxing.task import Relaxation
from crystalmesh_relaxation.stability.reference import Reference, ReferenceKind, Standing


@dataclass(frozen=True)
class FormationEnergy:
    """Known from the caller, in the reference's scheme."""

    ev_per_atom: float


@dataclass(frozen=True)
class TotalEnergy:
    """Of all atoms together, from the caller (no model) or from a potential."""

    ev_per_atom: float
    model: str = ""


@dataclass(frozen=True, eq=False)
class Phase:
    """What is scored, and how it was relaxed, where it was."""

    amounts: Mapping[str, float]
    energy: FormationEnergy | TotalEnergy
    excluded_ids: frozenset[str] = frozenset()
    relaxation: Relaxation | None = None


@dataclass(frozen=True, eq=False)
class HullDistance:
    """A phase in its place."""

    phase: Phase
    reference: Reference
    formation_energy_ev_per_atom: float
    standing: Standing

    @property
    def model(self) -> str:
        """The potential that gave the energy; empty where the caller did."""
        return self.phase.energy.model if isinstance(self.phase.energy, TotalEnergy) else ""

    @property
    def self_consistent(self) -> bool:
        """Whether one potential gave this energy and all of the reference's."""
        return bool(self.model) and self.model == self.reference.provenance.model


def hull_distance(phase: Phase, reference: Reference) -> HullDistance:
    """Score a phase; raises ReferenceIncompleteError where the reference lacks what that takes."""
    match phase.energy:
        case FormationEnergy():
            formation = phase.energy.ev_per_atom
        case TotalEnergy():
            provenance = reference.provenance
            # A caller's total energy is of the kind that the reference is made of.
            model = phase.energy.model or (provenance.model if provenance.kind is ReferenceKind.MODEL else "")
            formation = reference.formation_energy_ev_per_atom(phase.amounts, phase.energy.ev_per_atom, model)
    standing = reference.standing(phase.amounts, formation, phase.excluded_ids)
    return HullDistance(phase, reference, formation, standing)


def check_model_fits(reference: Reference, model: str) -> None:
    """Raise MixedEnergySchemesError where a potential's energies have no place in a reference's scheme."""
    if model not in reference.elemental_energies:
        scheme = reference.provenance.energy_scheme
        known = ", ".join(name for name in reference.elemental_energies if name) or "none"
        raise MixedEnergySchemesError(
            f"energies of {model} cannot be placed against {reference.name} ({scheme}), which knows the "
            f"elements for: {known}",
            scheme=scheme,
        )
