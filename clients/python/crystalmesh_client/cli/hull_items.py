"""What `crystalmesh hull` is given: files, formulas, formulas with energies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from crystalmesh_client.cli.reports import read_files, usage_error

if TYPE_CHECKING:
    from crystalmesh_client.mesh import Mesh
    from crystalmesh_client.phases import Phase
    from crystalmesh_client.results import Failed


@dataclass
class HullItems:
    """The phases to score, and what is no phase."""

    phases: list[Phase]
    unreadable: list[Failed]
    scheme: str  # of the energies that phases bring


def read_items(
    mesh: Mesh, items: Sequence[str], *, reference: str, excluded: Sequence[str], scheme: str
) -> HullItems:
    """All that was given, in order of kind. A formula alone is looked up in the reference."""
    from crystalmesh_client.phases import Phase  # noqa: PLC0415

    files = [item for item in items if Path(item).exists() or _formula(item) is None]
    crystals, unreadable = read_files([Path(file) for file in files])
    given = HullItems([Phase(crystal, id=crystal.id) for crystal in crystals], unreadable, scheme)
    # The same formula twice is one phase.
    for item in dict.fromkeys(item for item in items if item not in files):
        formula, energy = _formula(item) or ("", None)
        if energy is None:
            _look_up(mesh, formula, reference, given)
        else:
            given.phases.append(Phase(formula, id=item, formation_energy_ev_per_atom=energy))
    given.phases = [replace(phase, excluded_entry_ids=tuple(excluded)) for phase in given.phases]
    return given


def elements_of(phases: Iterable[Phase]) -> set[str]:
    """The symbols of all elements in all phases."""
    from pymatgen.core.composition import Composition  # noqa: PLC0415 -- heavy

    from crystalmesh_common.crystal.composition import chemical_system  # noqa: PLC0415
    from crystalmesh_common.crystal.structure import Crystal  # noqa: PLC0415

    elements: set[str] = set()
    for phase in phases:
        if isinstance(phase.material, Crystal):
            elements.update(chemical_system(phase.material).split("-"))
        else:
            elements.update(str(element) for element in Composition(phase.material))
    return elements


def _formula(item: str) -> tuple[str, float | None] | None:
    """Formula and energy of "Li2O" or "Li2O=-2.05"; None for what is no formula."""
    from pymatgen.core.composition import Composition  # noqa: PLC0415 -- heavy
    from pymatgen.core.periodic_table import Element  # noqa: PLC0415 -- heavy

    formula, equals, energy = item.partition("=")
    try:
        composition = Composition(formula)
    except ValueError:
        return None
    if not composition or not all(isinstance(element, Element) for element in composition):
        return None
    if not equals:
        return formula, None
    try:
        value = float(energy)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        usage_error(f"{item}: {energy!r} is no formation energy in eV/atom")
    return formula, value


def _look_up(mesh: Mesh, formula: str, reference: str, given: HullItems) -> None:
    """Add the reference's lowest entry of a formula, or a failure when it has none."""
    from pymatgen.core.composition import Composition  # noqa: PLC0415 -- heavy

    from crystalmesh_client.phases import Phase  # noqa: PLC0415
    from crystalmesh_client.results import Failed  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import CrystalMeshError, ResourceNotFoundError  # noqa: PLC0415

    composition = Composition(formula)
    try:
        diagram = mesh.stability.phase_diagram(composition.chemical_system, reference=reference)
        entry = next(
            (
                entry
                for entry in diagram.entries
                if Composition(entry.formula) == composition.reduced_composition
            ),
            None,
        )
        if entry is None:
            raise ResourceNotFoundError(
                f"{diagram.reference.name} has no {formula}; give its energy: {formula}=-1.23",
                resource="entry",
            )
    except CrystalMeshError as error:
        given.unreadable.append(Failed(formula, error))
        return
    given.scheme = given.scheme or diagram.reference.energy_scheme
    given.phases.append(
        Phase(formula, id=formula, formation_energy_ev_per_atom=entry.formation_energy_ev_per_atom)
    )
