"""A named set of entries, and the hulls over it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

import numpy as np

from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import ReferenceIncompleteError
from crystalmesh_relaxation.stability.entries import Entry, EntryTable, System, shares_in, system_of
from crystalmesh_relaxation.stability.formulas import amounts_of
from crystalmesh_relaxation.stability.hull import Decomposition, Hull

_KEPT_HULLS = 16_384  # some kilobytes each


class ReferenceKind(Enum):
    """Where the energies of a reference come from."""

    DFT = "dft"
    MODEL = "model"


@dataclass(frozen=True)
class Provenance:
    """What a reference is, apart from its entries."""

    name: str
    kind: ReferenceKind
    energy_scheme: str
    model: str = ""  # behind ReferenceKind.MODEL
    description: str = ""
    attribution: str = ""
    license: str = ""
    updated: date | None = None


@dataclass(frozen=True, eq=False)
class SystemHull:
    """The hull of one chemical system, with the entries that it was made of."""

    system: System
    entries: Sequence[Entry]
    compositions: FloatArray  # (m, k)
    energies: FloatArray  # (m,)
    hull: Hull

    @classmethod
    def of(cls, system: System, entries: Sequence[Entry]) -> SystemHull:
        compositions = np.array([shares_in(system, amounts_of(entry.formula)) for entry in entries])
        energies = np.array([entry.formation_energy_ev_per_atom for entry in entries])
        return cls(system, entries, compositions, energies, Hull(compositions, energies))

    def corner_ids(self) -> frozenset[str]:
        return frozenset(self.entries[corner].id for corner in self.hull.corners)

    def without(self, ids: frozenset[str]) -> SystemHull:
        """The hull of the other entries."""
        return SystemHull.of(self.system, [entry for entry in self.entries if entry.id not in ids])


@dataclass(frozen=True)
class Standing:
    """Where a phase lies against a hull."""

    energy_above_hull_ev_per_atom: float
    products: Sequence[tuple[Entry, float]]  # with the share of all atoms, the largest first
    competing_entries: int


@dataclass(eq=False)
class Reference:
    """Entries that phases are measured against. Hulls are kept; threads may share it."""

    provenance: Provenance
    table: EntryTable
    # What total energies of a potential are counted from, eV per atom by symbol; "" stands for DFT.
    elemental_energies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    is_default: bool = False  # of its server, for requests that name none

    def __post_init__(self) -> None:
        self._hulls: OrderedDict[tuple[System, frozenset[str]], SystemHull] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.provenance.name

    def hull(self, system: System) -> SystemHull:
        """The hull of a chemical system; raises ReferenceIncompleteError where an element is missing."""
        return self._kept(system, frozenset())

    def standing(
        self,
        amounts: Mapping[str, float],
        formation_energy_ev_per_atom: float,
        excluded_ids: frozenset[str] = frozenset(),
    ) -> Standing:
        """Where a phase lies, against the hull without the excluded entries.

        Raises ReferenceIncompleteError where the reference lacks an element.
        """
        system = system_of(amounts)
        found = self.hull(system)
        # Only what a hull rests on changes it; without that it may rest on another that is excluded.
        lost: frozenset[str] = frozenset()
        while more := excluded_ids & found.corner_ids():
            lost |= more
            found = self._kept(system, lost)
        below: Decomposition = found.hull.under(shares_in(system, amounts))
        return Standing(
            formation_energy_ev_per_atom - below.energy_ev_per_atom,
            [(found.entries[entry], share) for entry, share in below.products],
            sum(not entry.implied and entry.id not in excluded_ids for entry in found.entries),
        )

    def formation_energy_ev_per_atom(
        self, amounts: Mapping[str, float], energy_ev_per_atom: float, model: str
    ) -> float:
        """A total energy, counted from the elements as the same potential sees them ("" for DFT).

        Raises ReferenceIncompleteError where the energy of an element is not known.
        """
        elements = self.elemental_energies.get(model, {})
        missing = [symbol for symbol in amounts if symbol not in elements]
        if missing:
            whose = model or "DFT"
            raise ReferenceIncompleteError(
                f"{self.name} has no {whose} energy of {', '.join(missing)} to count a total energy from",
                elements=missing,
            )
        total = sum(amounts.values())
        return energy_ev_per_atom - sum(n * elements[symbol] for symbol, n in amounts.items()) / total

    def _kept(self, system: System, excluded: frozenset[str]) -> SystemHull:
        key = (system, excluded)
        with self._lock:
            hull = self._hulls.get(key)
            if hull is not None:
                self._hulls.move_to_end(key)
                return hull
        # Outside of the lock: two threads may both make it, and either is as good.
        entries = [entry for entry in self.table.within(system) if entry.id not in excluded]
        hull = SystemHull.of(system, entries)
        hull.corner_ids()
        with self._lock:
            self._hulls[key] = hull
            while len(self._hulls) > _KEPT_HULLS:
                self._hulls.popitem(last=False)
        return hull
