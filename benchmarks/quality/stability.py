"""How far relaxed samples lie above a hull, and the shares that are stable or metastable.

Metastable is below 0.1 eV/atom, MatExpert's threshold. Published shares rest on other potentials and larger
hulls; which hull was taken here, every figure names. Energies are CHGNet's, of MP2020's scheme, counted from
MP-20's own elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.quality.relaxed import Relaxed
from benchmarks.quality.samples import share
from crystalmesh_common.crystal.composition import composition_of
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.stability.entries import EntryTable
from crystalmesh_relaxation.stability.reference import Provenance, Reference, ReferenceKind
from crystalmesh_relaxation.stability.references import References, shipped_references
from crystalmesh_relaxation.stability.scoring import Phase, TotalEnergy, hull_distance
from crystalmesh_relaxation.stability.tables import read_entries, read_reference

MODEL = "chgnet-0.3.0"
DFT_HULL = "mp20-dft"
METASTABLE_EV_PER_ATOM = 0.1
IMPLAUSIBLE_EV_PER_ATOM = -0.5
"""So far below a hull we take the potential to be led astray. Our choice, not a paper's; never stable."""


def hulls(dft_table: Path | None) -> Sequence[Reference]:
    """The hull of a table of DFT formation energies, if there is one, and the shipped self-consistent one."""
    found = [read_reference(path) for path in shipped_references()]
    if dft_table is not None:
        provenance = Provenance(DFT_HULL, ReferenceKind.DFT, energy_scheme="MP2020")
        found.append(Reference(provenance, EntryTable(read_entries(dft_table))))
    references = References()
    references.loaded(found, default="" if dft_table is None else DFT_HULL)  # shares the elements' energies
    return references.all()


@dataclass(frozen=True)
class HullPlace:
    """Where a sample lies, or why it has no place."""

    ev_per_atom: float | None
    converged: bool
    problem: str = ""


def place(relaxed: Relaxed | None, reference: Reference) -> HullPlace:
    """A relaxed sample against a hull. One that ran out of steps has a place, too: it would only sink."""
    if relaxed is None:
        return HullPlace(None, converged=False, problem="no crystal")
    if relaxed.crystal is None or relaxed.energy_ev_per_atom is None:
        return HullPlace(None, converged=False, problem=relaxed.problem)
    amounts = {symbol_of(number): float(count) for number, count in composition_of(relaxed.crystal)}
    try:
        scored = hull_distance(Phase(amounts, TotalEnergy(relaxed.energy_ev_per_atom, MODEL)), reference)
    except CrystalMeshError as error:
        return HullPlace(None, relaxed.converged, error.message)
    above = scored.standing.energy_above_hull_ev_per_atom
    if above < IMPLAUSIBLE_EV_PER_ATOM:
        return HullPlace(None, relaxed.converged, f"implausible: {above:.2f} eV/atom")
    return HullPlace(above, relaxed.converged)


@dataclass(frozen=True)
class StabilityRates:
    """Shares of all samples that were asked for; those of the placed ones say so."""

    reference: str  # the hull's name
    asked: int
    placed: int  # have a distance
    converged: float
    stable: float  # at or below the hull
    metastable: float  # below 0.1 eV/atom
    metastable_of_placed: float
    median_ev_per_atom: float


def stability_rates(places: Sequence[HullPlace], reference: Reference) -> StabilityRates:
    """The shares among samples that were asked for, one place each."""
    distances = np.array([place.ev_per_atom for place in places if place.ev_per_atom is not None])
    metastable = int((distances < METASTABLE_EV_PER_ATOM).sum())
    return StabilityRates(
        reference=reference.name,
        asked=len(places),
        placed=len(distances),
        converged=share(sum(place.converged for place in places), len(places)),
        stable=share(int((distances <= 0).sum()), len(places)),
        metastable=share(metastable, len(places)),
        metastable_of_placed=share(metastable, len(distances)),
        median_ev_per_atom=float(np.median(distances)) if len(distances) else float("nan"),
    )
