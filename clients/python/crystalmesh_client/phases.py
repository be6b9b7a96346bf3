"""What is scored against a hull: crystals and compositions, with their energies where callers know them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crystalmesh.stability.v1.hull_pb2 import PhaseInput
from crystalmesh_client.inputs import CrystalLike, distinct, to_crystal, to_inputs
from crystalmesh_common.crystal.structure import Crystal


@dataclass(frozen=True, eq=False)
class Phase:
    """A crystal, or a formula such as "Li2O", and what the caller knows of its energy.

    A formula needs one of the energies; without one, that of a crystal is computed. For a fair test of a
    phase that is in the reference itself, exclude its entry.
    """

    material: CrystalLike | str
    id: str = ""  # empty: the crystal's, else its position in the list
    formation_energy_ev_per_atom: float | None = None
    total_energy_ev: float | None = None  # of the whole cell, or of the formula as written, with corrections
    excluded_entry_ids: tuple[str, ...] = ()  # entries of the reference that the hull is built without

    def to_proto(self) -> PhaseInput:
        """The message; ValueError when both energies are given."""
        if self.formation_energy_ev_per_atom is not None and self.total_energy_ev is not None:
            raise ValueError(f"phase {self.id!r} has a formation energy and a total energy; give one")
        message = PhaseInput(id=self.id, excluded_entry_ids=self.excluded_entry_ids)
        if self.formation_energy_ev_per_atom is not None:
            message.formation_energy_ev_per_atom = self.formation_energy_ev_per_atom
        if self.total_energy_ev is not None:
            message.total_energy_ev = self.total_energy_ev
        if isinstance(self.material, str):
            message.formula = self.material
        else:
            message.crystal.CopyFrom(to_inputs([replace(to_crystal(self.material), id=self.id)])[0])
        return message


def to_phases(given: Iterable[Phase | CrystalLike | str]) -> list[Phase]:
    """All phases, each with an id: its own, its crystal's, or its position; DuplicateIdError for twins."""
    return distinct(_named(position, item) for position, item in enumerate(given))


def _named(position: int, item: Phase | CrystalLike | str) -> Phase:
    phase = item if isinstance(item, Phase) else Phase(item)
    if not isinstance(phase.material, str):
        phase = replace(phase, material=to_crystal(phase.material))
    inherited = phase.material.id if isinstance(phase.material, Crystal) else ""
    return replace(phase, id=phase.id or inherited or str(position))
