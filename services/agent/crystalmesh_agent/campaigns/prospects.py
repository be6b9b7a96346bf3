"""How high a crystal's energy may be, a few steps into its relaxation, for the rest to be worth its while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crystalmesh.stability.v1.reference_pb2 import Reference
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_common.crystal.composition import composition_of, reduced_formula
from crystalmesh_common.crystal.structure import Crystal

AFTER_STEPS = 5
_HOPELESS_EV_PER_ATOM = 0.2
"""Further than this above what is asked after those steps, and a candidate is given up.

Measured on 40 candidates of campaigns: that is 55 % of them, which would take half of all steps, and one of
the twelve that end within 0.1 eV/atom of the hull (benchmarks/LOG.md).
"""


@dataclass(frozen=True)
class Prospects:
    """The hull at a crystal's composition, in total energies of the campaign's potential."""

    hull_ev_per_atom: float
    wanted_ev_per_atom: float  # above the hull, at most

    @property
    def limit_ev_per_atom(self) -> float:
        return self.hull_ev_per_atom + self.wanted_ev_per_atom + _HOPELESS_EV_PER_ATOM


class ProspectFinder:
    """Looks hulls up before anything is relaxed."""

    def __init__(self, workplace: Workplace) -> None:
        self._spec = workplace.spec
        self._mesh = workplace.mesh
        self._patience = workplace.patience
        self._wanted = workplace.wishes.max_energy_above_hull_ev_per_atom
        self._reference: Reference | None = None

    async def prospects(self, crystal: Crystal) -> Prospects | None:
        """Those of a crystal; None where the reference lacks the potential's energy of an element.

        Raises what is wrong with it.
        """
        reference = await self._known_reference()
        elements = _elemental_energies(reference, self._spec.models.potential)
        composition = composition_of(crystal)
        if any(number not in elements for number, _ in composition):
            return None
        formation = await self._patience.ask(
            "relaxation", lambda: self._mesh.hull_energy(reduced_formula(crystal), reference.summary)
        )
        of_elements = sum(elements[number] * count for number, count in composition) / len(crystal)
        return Prospects(formation + of_elements, self._wanted)

    async def _known_reference(self) -> Reference:
        if self._reference is None:
            self._reference = await self._patience.ask(
                "relaxation", lambda: self._mesh.reference(self._spec.reference)
            )
        return self._reference


def _elemental_energies(reference: Reference, potential: str) -> Mapping[int, float]:
    """By atomic number, in eV per atom."""
    return {
        each.atomic_number: each.energy_ev_per_atom
        for each in reference.elemental_energies
        if each.model == potential
    }
