"""Convex hulls: where phases lie against one, and the whole of one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crystalmesh.stability.v1 import hull_pb2, phase_diagram_pb2
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_client.phases import Phase
from crystalmesh_client.references import Reference, reference_from
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

_ROWS_SHOWN = 20
_ON_HULL = 1e-6
"""What rounding may leave above the hull, in eV/atom."""


@dataclass(frozen=True)
class DecompositionProduct:
    """One of the entries that a phase would decompose into."""

    entry_id: str
    formula: str
    atom_fraction: float  # of all atoms, in (0, 1]
    formation_energy_ev_per_atom: float


@dataclass(frozen=True, eq=False)
class HullDistance:
    """Where a phase lies against the hull of `reference`, without which the number means nothing."""

    id: str
    formula: str
    energy_above_hull_ev_per_atom: float  # 0 on the hull; negative: below it, by how much it pushes it down
    formation_energy_ev_per_atom: float
    energy_ev_per_atom: float | None  # None where the caller gave the formation energy
    decomposition: tuple[DecompositionProduct, ...] = field(repr=False)  # the largest amount first
    competing_entry_count: int  # of the reference in the chemical system; few make a hull that is too high
    reference: Reference = field(repr=False)
    model: str  # that gave the phase's energy; empty: the caller did
    self_consistent: bool  # one potential gave the phase's energy and all of the reference's
    relaxed_crystal: Crystal | None = field(repr=False)  # what was evaluated, when it was relaxed there
    relaxation_converged: bool | None  # None when it was not relaxed there

    @property
    def decomposition_text(self) -> str:
        """The products with their share of the atoms: "0.60 Li2O + 0.40 Fe2O3"."""
        return " + ".join(f"{part.atom_fraction:.2f} {part.formula}" for part in self.decomposition)

    def to_pymatgen(self) -> Structure | None:
        """The relaxed crystal as a pymatgen Structure; None when none was relaxed."""
        if self.relaxed_crystal is None:
            return None
        from crystalmesh_common.crystal.pymatgen_codec import to_structure  # noqa: PLC0415 -- heavy

        return to_structure(self.relaxed_crystal)

    def _repr_html_(self) -> str:
        rows = [
            ("phase", self.id),
            ("formula", self.formula),
            ("above hull", f"{self.energy_above_hull_ev_per_atom:.4f} eV/atom"),
            ("formation energy", f"{self.formation_energy_ev_per_atom:.4f} eV/atom"),
            ("decomposes into", self.decomposition_text),
            ("reference", f"{self.reference.name}, {self.competing_entry_count} entries compete"),
            ("model", self.model or "energy given"),
        ]
        if self.relaxation_converged is False:
            rows.append(("relaxation", "did not converge"))
        return html_table(*rows)


@dataclass(frozen=True)
class PhaseDiagramEntry:
    """One phase of a phase diagram."""

    entry_id: str
    formula: str
    formation_energy_ev_per_atom: float
    energy_above_hull_ev_per_atom: float  # 0 on the hull


@dataclass(frozen=True)
class PhaseDiagram:
    """The hull of a reference within one chemical system, at zero temperature and pressure."""

    chemical_system: str  # "Fe-Li-O"
    reference: Reference = field(repr=False)
    entries: tuple[PhaseDiagramEntry, ...] = field(repr=False)  # by rising distance to the hull
    facets: tuple[tuple[int, ...], ...] = field(
        repr=False
    )  # of positions in `entries`; none beyond 6 elements

    @property
    def elements(self) -> tuple[str, ...]:
        """The symbols of the elements in alphabetical order."""
        return tuple(self.chemical_system.split("-"))

    @property
    def stable_entries(self) -> tuple[PhaseDiagramEntry, ...]:
        """The entries on the hull."""
        return tuple(entry for entry in self.entries if entry.energy_above_hull_ev_per_atom < _ON_HULL)

    def _repr_html_(self) -> str:
        rows = [
            (
                entry.entry_id,
                entry.formula,
                f"{entry.formation_energy_ev_per_atom:.4f}",
                f"{entry.energy_above_hull_ev_per_atom:.4f}",
            )
            for entry in self.entries[:_ROWS_SHOWN]
        ]
        more = len(self.entries) - len(rows)
        if more > 0:
            rows.append((f"and {more} more", "", "", ""))
        head = html_table(("chemical system", self.chemical_system), ("reference", self.reference.name))
        return head + html_grid(("entry", "formula", "formation eV/atom", "above hull eV/atom"), rows)


def hull_distance_from(message: hull_pb2.HullDistance, phase: Phase) -> HullDistance:
    """The typed form of a message about `phase`."""
    relaxed = message.HasField("relaxed_crystal")
    return HullDistance(
        id=phase.id,
        formula=message.formula,
        energy_above_hull_ev_per_atom=message.energy_above_hull_ev_per_atom,
        formation_energy_ev_per_atom=message.formation_energy_ev_per_atom,
        energy_ev_per_atom=message.energy_ev_per_atom if message.HasField("energy_ev_per_atom") else None,
        decomposition=tuple(
            DecompositionProduct(
                product.entry_id, product.formula, product.atom_fraction, product.formation_energy_ev_per_atom
            )
            for product in message.decomposition
        ),
        competing_entry_count=message.competing_entry_count,
        reference=reference_from(message.reference),
        model=message.model,
        self_consistent=message.self_consistent,
        relaxed_crystal=replace(crystal_from_proto(message.relaxed_crystal), id=phase.id)
        if relaxed
        else None,
        relaxation_converged=message.relaxation_converged if relaxed else None,
    )


def phase_diagram_from(message: phase_diagram_pb2.PhaseDiagram) -> PhaseDiagram:
    """The typed form of a message."""
    return PhaseDiagram(
        chemical_system=message.chemical_system,
        reference=reference_from(message.reference),
        entries=tuple(
            PhaseDiagramEntry(
                entry.entry_id,
                entry.formula,
                entry.formation_energy_ev_per_atom,
                entry.energy_above_hull_ev_per_atom,
            )
            for entry in message.entries
        ),
        facets=tuple(tuple(facet.entry_indices) for facet in message.facets),
    )
