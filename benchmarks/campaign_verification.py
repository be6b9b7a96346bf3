"""Hits checked anew: by other code where that is possible, and by asking the services again, one by one.

Composition, symmetry, density and uniqueness are pymatgen's word; forces, the distance from the hull,
properties and matches in the catalog are asked of the mesh for the relaxed crystal as it left the campaign.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.composition import Composition
from pymatgen.core.periodic_table import Element
from pymatgen.core.structure import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from crystalmesh_client import CampaignCandidate, Crystal, Mesh, Target
from crystalmesh_client.properties import PROPERTY_NAMES, Range

MAX_HULL_EV_PER_ATOM = 0.1
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
    structure = cast("Structure", hit.candidate.to_pymatgen())
    return [
        *_unconverged(mesh, hit.candidate, crystal),
        *_off_composition(hit.target, structure.composition),
        *_off_symmetry(hit.target, structure),
        *_off_ranges(mesh, hit, crystal, structure),
        *_known(mesh, hit, crystal),
        *_repeated(hit.candidate, structure, others),
    ]


def _unconverged(mesh: Mesh, candidate: CampaignCandidate, crystal: Crystal) -> Iterable[str]:
    if candidate.relaxation is None or not candidate.relaxation.converged:
        yield "its relaxation did not converge"
    force = mesh.relaxation.evaluate(crystal).max_force_ev_per_angstrom
    if force is None or force > MAX_FORCE_EV_PER_ANGSTROM + _TOLERANCE:
        yield f"an atom feels {force} eV/Å"


def _off_composition(target: Target, composition: Composition) -> Iterable[str]:
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


def _off_symmetry(target: Target, structure: Structure) -> Iterable[str]:
    if target.space_group is None and target.crystal_system is None:
        return
    found = SpacegroupAnalyzer(structure, symprec=_SYMPREC_ANGSTROM)
    if target.space_group is not None and found.get_space_group_number() != target.space_group:
        yield f"its space group is {found.get_space_group_number()}"
    if target.crystal_system is not None and found.get_crystal_system() != target.crystal_system:
        yield f"it is {found.get_crystal_system()}"


def _off_ranges(mesh: Mesh, hit: Hit, crystal: Crystal, structure: Structure) -> Iterable[str]:
    values = {name: each.value for name, each in mesh.property.predict(crystal).values.items()}
    place = mesh.stability.score(crystal, reference=hit.reference)
    values[_HULL] = place.energy_above_hull_ev_per_atom
    values["formation_energy_ev_per_atom"] = place.formation_energy_ev_per_atom
    values["density_g_per_cubic_centimeter"] = float(structure.density)
    values["atoms_in_cell"] = float(len(structure.get_primitive_structure()))
    for name in PROPERTY_NAMES:
        bounds = getattr(hit.target, name)
        if name == _HULL:
            bounds = _stable(bounds)
        if bounds is None:
            continue
        low, high = bounds
        value = values.get(name)
        if value is None:
            yield f"{name} is not known"
        elif (low is not None and value < low - _TOLERANCE) or (
            high is not None and value > high + _TOLERANCE
        ):
            yield f"{name} is {value:.4g}"


def _stable(asked: Range | None) -> Range:
    """What was asked, and no further from the hull than any hit may be; below it is more stable still."""
    high = None if asked is None else asked[1]
    return None, min(MAX_HULL_EV_PER_ATOM, MAX_HULL_EV_PER_ATOM if high is None else high)


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
