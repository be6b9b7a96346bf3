"""Hits checked anew: by other code where that is possible, and by asking the services again, one by one.

Composition, symmetry, density and uniqueness are pymatgen's word; forces, the distance from the hull,
properties and matches in the catalog are asked of the mesh for the relaxed crystal as it left the campaign.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from crystalmesh_client import CampaignCandidate, Crystal, Mesh, Target
from crystalmesh_client.properties import PROPERTY_NAMES, Range
from crystalmesh_common.crystal.pymatgen_codec import to_structure

MAX_HULL_EV_PER_ATOM = 0.1
MIN_HULL_EV_PER_ATOM = -0.3
"""Below, it is not the crystal that is so stable: the reference lacks what competes with it."""
MAX_FORCE_EV_PER_ANGSTROM = 0.05
_SYMPREC_ANGSTROM = 0.1
_HULL = "energy_above_hull_ev_per_atom"
_TOLERANCE = 1e-3
"""In the unit of the property, and of forces: an answer asked for in another batch differs by less."""


@dataclass(frozen=True)
class Hit:
    """A candidate that a campaign calls a hit, and what it was asked for."""

    target: Target
    candidate: CampaignCandidate
    catalog: str
    reference: str


def problems(mesh: Mesh, hit: Hit, others: Sequence[CampaignCandidate]) -> list[str]:
    """What is wrong with a hit, one sentence each; []: nothing. `others` are all that its campaign ranked."""
    crystal = hit.candidate.crystal
    if hit.candidate.relaxation is None or crystal is None:
        return ["it was not relaxed"]
    structure = to_structure(crystal)
    return [
        *_unconverged(mesh, hit.candidate, crystal),
        *off_composition(hit.target, structure.composition),
        *off_symmetry(hit.target, structure),
        *off_ranges(hit.target, {**_asked_again(mesh, hit, crystal), **geometry(structure)}),
        *_known(mesh, hit, crystal),
        *_repeated(hit.candidate, structure, others),
    ]


def _unconverged(mesh: Mesh, candidate: CampaignCandidate, crystal: Crystal) -> Iterable[str]:
    if candidate.relaxation is None or not candidate.relaxation.converged:
        yield "its relaxation did not converge"
    force = mesh.relaxation.evaluate(crystal).max_force_ev_per_angstrom
    if force is None or force > MAX_FORCE_EV_PER_ANGSTROM + _TOLERANCE:
        yield f"an atom feels {force} eV/Å"


def off_composition(target: Target, composition: Composition) -> Iterable[str]:
    """What is wrong with the elements."""
    present = {element.symbol for element in composition.elements}
    if target.formula and composition.reduced_formula != Composition(target.formula).reduced_formula:
        yield f"it is {composition.reduced_formula}"
    if target.chemical_system and present != set(target.chemical_system.split("-")):
        yield f"its elements are {composition.chemical_system}"
    required = _symbols(target.elements)
    if missing := required - present:
        yield f"it has no {', '.join(sorted(missing))}"
    if target.only_elements and (excess := present - required - _symbols(target.only_elements)):
        yield f"it has {', '.join(sorted(excess))}, which was not allowed"
    if unwanted := present & _symbols(target.without_elements):
        yield f"it has {', '.join(sorted(unwanted))}, which was forbidden"


def off_symmetry(target: Target, structure: Structure) -> Iterable[str]:
    """What is wrong with the symmetry, found within 0.1 Å."""
    if target.space_group is None and target.crystal_system is None:
        return
    with warnings.catch_warnings():
        # spglib's next version will raise errors where pymatgen expects None; they are pinned together here.
        warnings.filterwarnings("ignore", message=".*OLD_ERROR_HANDLING", category=DeprecationWarning)
        found = SpacegroupAnalyzer(structure, symprec=_SYMPREC_ANGSTROM)
        number, system = found.get_space_group_number(), found.get_crystal_system()
    if target.space_group is not None and number != target.space_group:
        yield f"its space group is {number}"
    if target.crystal_system is not None and system != target.crystal_system:
        yield f"it is {system}"


def off_ranges(target: Target, values: Mapping[str, float]) -> Iterable[str]:
    """Which values lie outside of what was asked, or are not known; the hull distance always counts."""
    asked: dict[str, Range | None] = {name: getattr(target, name) for name in PROPERTY_NAMES}
    asked[_HULL] = _near_hull(asked[_HULL])
    for name, bounds in asked.items():
        if bounds is None:
            continue
        if name not in values:
            yield f"{name} is not known"
            continue
        low, high = (
            (-math.inf if bounds[0] is None else bounds[0]),
            (math.inf if bounds[1] is None else bounds[1]),
        )
        if not low - _TOLERANCE <= values[name] <= high + _TOLERANCE:
            yield f"{name} is {values[name]:.4g}"


def geometry(structure: Structure) -> dict[str, float]:
    """What follows from the structure alone."""
    return {
        "density_g_per_cubic_centimeter": float(structure.density),
        "atoms_in_cell": float(len(structure.get_primitive_structure())),
    }


def _asked_again(mesh: Mesh, hit: Hit, crystal: Crystal) -> dict[str, float]:
    values = {name: each.value for name, each in mesh.property.predict(crystal).values.items()}
    place = mesh.stability.score(crystal, reference=hit.reference)
    return {
        **values,
        _HULL: place.energy_above_hull_ev_per_atom,
        "formation_energy_ev_per_atom": place.formation_energy_ev_per_atom,
    }


def _near_hull(asked: Range | None) -> Range:
    """What was asked, and no further from the hull than any hit may be, to either side."""
    high = None if asked is None else asked[1]
    return MIN_HULL_EV_PER_ATOM, min(MAX_HULL_EV_PER_ATOM, MAX_HULL_EV_PER_ATOM if high is None else high)


def _known(mesh: Mesh, hit: Hit, crystal: Crystal) -> Iterable[str]:
    matches = mesh.retrieval.find_matches(crystal, catalog=hit.catalog)
    for match in matches.matches:
        yield f"the catalog has it as {match.material_id}"


def _repeated(
    candidate: CampaignCandidate, structure: Structure, others: Sequence[CampaignCandidate]
) -> Iterable[str]:
    matcher = StructureMatcher()
    for other in others:
        if other.id == candidate.id or other.formula != candidate.formula:
            continue
        same = other.to_pymatgen()
        if same is not None and matcher.fit(structure, same):
            yield f"the candidate {other.id} is the same structure"


def _symbols(elements: Iterable[str | int]) -> set[str]:
    return {each if isinstance(each, str) else Element.from_Z(each).symbol for each in elements}
