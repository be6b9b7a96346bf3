"""Whether a crystal can be one at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from crystalmesh.crystal.v1 import validity_pb2


@dataclass(frozen=True)
class Validity:
    """What the checks say that cost nothing."""

    structure_valid: bool  # no two atoms closer than 0.5 Å, and a cell of at least 0.1 Å³
    composition_valid: bool  # charges can balance with common oxidation states, or an alloy or element
    shortest_distance_angstrom: float
    volume_cubic_angstrom: float
    formula: str  # reduced
    space_group_number: int  # found within 0.1 Å
    missed_target_fields: tuple[str, ...]  # of the target, as far as the crystal alone shows it

    @property
    def is_valid(self) -> bool:
        """Whether both structure and composition are."""
        return self.structure_valid and self.composition_valid

    @property
    def objections(self) -> list[str]:
        """What speaks against the crystal, in words; empty: nothing."""
        return list(self._objections())

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {**asdict(self), "missed_target_fields": list(self.missed_target_fields)}

    def _objections(self) -> Iterator[str]:
        if not self.structure_valid:
            yield (
                f"no possible structure: the closest atoms are {self.shortest_distance_angstrom:.2f} Å"
                f" apart in {self.volume_cubic_angstrom:.1f} Å³"
            )
        if not self.composition_valid:
            yield "charges do not balance with common oxidation states"
        if self.missed_target_fields:
            missed = ", ".join(name.replace("_", " ") for name in self.missed_target_fields)
            yield f"misses what was asked for: {missed}"


def validity_from(message: validity_pb2.Validity) -> Validity:
    """The typed form of a message."""
    return Validity(
        structure_valid=message.structure_valid,
        composition_valid=message.composition_valid,
        shortest_distance_angstrom=message.shortest_distance_angstrom,
        volume_cubic_angstrom=message.volume_cubic_angstrom,
        formula=message.formula,
        space_group_number=message.space_group_number,
        missed_target_fields=tuple(message.missed_target_fields),
    )
