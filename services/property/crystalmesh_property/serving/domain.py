"""Whether a crystal is like what a model was trained on, and if not, how not, with the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_property.graphs.graph import CrystalGraph
from crystalmesh_property.serving.prediction import DomainWarning, Unlikeness

FEWEST_CRYSTALS = 5
"""An element that fewer crystals had is rare."""

_ROUNDING = 1e-4
"""Ranges come from packed graphs, whose numbers are shorter than those of a crystal off the wire."""


@dataclass(frozen=True)
class TrainingDomain:
    """What a model was trained on, as `model.domain.domain_of` wrote it."""

    crystals_with_element: Mapping[int, int]
    volume_per_atom_cubic_angstrom: tuple[float, float]
    most_atoms: int
    shortest_distance_angstrom: float | None  # None where no crystal had two atoms near each other

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError or ValueError where it is not what `domain_of` writes."""
        smallest, largest = said["volume_per_atom_cubic_angstrom"]
        shortest = said["shortest_distance_angstrom"]
        return cls(
            {int(number): int(count) for number, count in said["crystals_with_element"].items()},
            (float(smallest), float(largest)),
            int(said["atoms"][1]),
            None if shortest is None else float(shortest),
        )

    @property
    def atomic_numbers(self) -> tuple[int, ...]:
        """The elements that it saw, ascending."""
        return tuple(sorted(number for number, count in self.crystals_with_element.items() if count))

    def warnings(self, graph: CrystalGraph, model: str) -> Iterator[DomainWarning]:
        """How the crystal of a graph is unlike it; nothing for one that is like it."""
        yield from self._of_elements(graph, model)
        yield from self._of_density(graph, model)
        if graph.atoms > self.most_atoms:
            message = f"{graph.atoms} atoms in the cell, trained on at most {self.most_atoms}"
            yield DomainWarning(Unlikeness.ATOM_COUNT, message, model)
        if len(graph.distances_angstrom) and self.shortest_distance_angstrom is not None:
            shortest = float(graph.distances_angstrom.min())
            if shortest < self.shortest_distance_angstrom * (1 - _ROUNDING):
                message = (
                    f"two atoms {shortest:.2f} Å apart, trained on distances from "
                    f"{self.shortest_distance_angstrom:.2f} Å"
                )
                yield DomainWarning(Unlikeness.SHORT_DISTANCE, message, model)

    def _of_elements(self, graph: CrystalGraph, model: str) -> Iterator[DomainWarning]:
        counts = {int(z): self.crystals_with_element.get(int(z), 0) for z in sorted({*graph.elements})}
        if unseen := tuple(number for number, count in counts.items() if not count):
            message = f"never trained on {', '.join(map(symbol_of, unseen))}"
            yield DomainWarning(Unlikeness.UNSEEN_ELEMENT, message, model, unseen)
        if rare := tuple(number for number, count in counts.items() if 0 < count < FEWEST_CRYSTALS):
            each = ", ".join(f"{symbol_of(number)} in {counts[number]}" for number in rare)
            message = f"hardly trained on {each} crystals"
            yield DomainWarning(Unlikeness.RARE_ELEMENT, message, model, rare)

    def _of_density(self, graph: CrystalGraph, model: str) -> Iterator[DomainWarning]:
        smallest, largest = self.volume_per_atom_cubic_angstrom
        volume = graph.volume_per_atom_cubic_angstrom
        if not smallest * (1 - _ROUNDING) <= volume <= largest * (1 + _ROUNDING):
            message = f"{volume:.1f} Å³ per atom, trained on {smallest:.1f} to {largest:.1f}"
            yield DomainWarning(Unlikeness.DENSITY, message, model)
