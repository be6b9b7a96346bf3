"""Hull distances, phase diagrams and references: protobuf to dataclasses and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

import numpy as np

from crystalmesh.stability.v1 import hull_pb2, phase_diagram_pb2, reference_pb2
from crystalmesh.stability.v1.hull_pb2 import PhaseInput, ScoreStabilityRequest, ScoreStabilityResponse
from crystalmesh_common.crystal.composition import composition_of, reduced_formula_of
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, SYMBOLS, symbol_of
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidFieldError,
    MixedEnergySchemesError,
    ReferenceIncompleteError,
)
from crystalmesh_common.runtime.intake import check_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_relaxation.engine import Evaluation, PotentialInfo
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.relaxing.task import Relaxation
from crystalmesh_relaxation.stability.entries import System, system_of
from crystalmesh_relaxation.stability.formulas import amounts_of
from crystalmesh_relaxation.stability.hull import MAX_DIMENSION_OF_FACETS
from crystalmesh_relaxation.stability.reference import Reference, ReferenceKind
from crystalmesh_relaxation.stability.references import References
from crystalmesh_relaxation.stability.scoring import (
    FormationEnergy,
    HullDistance,
    Phase,
    TotalEnergy,
    check_model_fits,
)

MAX_ELEMENTS = 10
_KINDS: Mapping[ReferenceKind, reference_pb2.ReferenceKind.ValueType] = {
    ReferenceKind.DFT: reference_pb2.REFERENCE_KIND_DFT,
    ReferenceKind.MODEL: reference_pb2.REFERENCE_KIND_MODEL,
}


@dataclass(frozen=True)
class ScoreOrder:
    """A request that is right as a whole. Its phases are still as they came."""

    ids: Sequence[str]
    phases: Sequence[PhaseInput]
    reference: Reference
    potential: PotentialInfo | None  # for the phases that bring no energy; None where each brings one
    relax_first: bool

    @property
    def with_energy(self) -> list[int]:
        """Positions of the phases that bring an energy."""
        return [n for n, phase in enumerate(self.phases) if phase.WhichOneof("energy")]

    @property
    def without_energy(self) -> list[int]:
        """Positions of the phases whose energy is to be computed."""
        return [n for n, phase in enumerate(self.phases) if not phase.WhichOneof("energy")]


def score_order(
    request: ScoreStabilityRequest, references: References, models: Models, limits: Limits
) -> ScoreOrder:
    """Check a request.

    Raises an InvalidRequestError, MixedEnergySchemesError, or what `References.resolve` and `Models.resolve`
    raise when it fails whole.
    """
    ids = _phase_ids(request.phases, limits)
    reference = references.resolve(request.reference)
    brought = [bool(phase.WhichOneof("energy")) for phase in request.phases]
    if any(brought):
        _check_scheme(request.energy_scheme, reference)
    potential = None
    if not all(brought):
        own = reference.provenance.model
        potential = models.resolve(request.model or (own if own in models.names else ""))
        check_model_fits(reference, potential.name)
    return ScoreOrder(ids, request.phases, reference, potential, request.relax_first)


def _phase_ids(phases: Sequence[PhaseInput], limits: Limits) -> list[str]:
    ids = [
        phase.id or phase.crystal.id or phase.crystal.crystal.id or str(position)
        for position, phase in enumerate(phases)
    ]
    check_ids(ids, "phases", most=limits.crystals_per_call)
    return ids


def _check_scheme(scheme: str, reference: Reference) -> None:
    if not scheme:
        raise InvalidFieldError(
            "energy_scheme must say which correction scheme the given energies are in", field="energy_scheme"
        )
    theirs = reference.provenance.energy_scheme
    if scheme != theirs:
        raise MixedEnergySchemesError(
            f"energies of the scheme {scheme[:80]!r} cannot be placed against {reference.name}, "
            f"whose are {theirs}",
            scheme=theirs,
        )


def problem_of(
    order: ScoreOrder, position: int, crystal: Crystal | CrystalMeshError
) -> CrystalMeshError | None:
    """Why the energy of a phase need not be computed: its crystal, as read, or the reference."""
    if order.phases[position].WhichOneof("material") != "crystal":
        return InvalidFieldError("a phase without an energy needs a crystal", field="phases.crystal")
    if isinstance(crystal, CrystalMeshError):
        return crystal
    try:
        order.reference.table.check(system_of(amounts_in(crystal)))
    except ReferenceIncompleteError as error:
        return error
    return None


def known_phase(phase: PhaseInput, crystal: Crystal | None) -> Phase:
    """A phase that brings its energy; `crystal` is its structure, read, where it brings one.

    Raises InvalidFieldError.
    """
    amounts: Mapping[str, float]
    if crystal is not None:
        amounts = amounts_in(crystal)
    elif phase.WhichOneof("material") == "formula":
        amounts = amounts_of(phase.formula)
    else:
        raise InvalidFieldError("one of crystal and formula must be set", field="phases.material")
    energy: FormationEnergy | TotalEnergy
    if phase.WhichOneof("energy") == "total_energy_ev":
        energy = TotalEnergy(phase.total_energy_ev / sum(amounts.values()))
    else:
        energy = FormationEnergy(phase.formation_energy_ev_per_atom)
    if not math.isfinite(energy.ev_per_atom):
        raise InvalidFieldError("the energy must be a number", field=f"phases.{phase.WhichOneof('energy')}")
    return Phase(amounts, energy, frozenset(phase.excluded_entry_ids))


def computed_phase(
    phase: PhaseInput, crystal: Crystal, outcome: Evaluation | Relaxation, model: str
) -> Phase:
    """A phase whose energy a potential has given."""
    relaxation = outcome if isinstance(outcome, Relaxation) else None
    evaluation = outcome.final if isinstance(outcome, Relaxation) else outcome
    return Phase(
        amounts_in(crystal),
        TotalEnergy(evaluation.energy_ev_per_atom, model),
        frozenset(phase.excluded_entry_ids),
        relaxation,
    )


def amounts_in(crystal: Crystal) -> dict[str, float]:
    return {symbol_of(number): float(count) for number, count in composition_of(crystal)}


def score_response(
    phase_id: str, index: int, outcome: HullDistance | CrystalMeshError
) -> ScoreStabilityResponse:
    """The message that reports one phase's outcome."""
    response = ScoreStabilityResponse(crystal_id=phase_id, index=index)
    if isinstance(outcome, CrystalMeshError):
        response.error.CopyFrom(to_status(outcome))
    else:
        _fill_hull_distance(response.hull_distance, outcome)
    return response


def _fill_hull_distance(message: hull_pb2.HullDistance, found: HullDistance) -> None:
    phase, standing = found.phase, found.standing
    message.energy_above_hull_ev_per_atom = standing.energy_above_hull_ev_per_atom
    message.formation_energy_ev_per_atom = found.formation_energy_ev_per_atom
    if isinstance(phase.energy, TotalEnergy):
        message.energy_ev_per_atom = phase.energy.ev_per_atom
    message.formula = reduced_formula_of(phase.amounts)
    for entry, share in standing.products:
        message.decomposition.add(
            entry_id=entry.id,
            formula=reduced_formula_of(amounts_of(entry.formula)),
            atom_fraction=share,
            formation_energy_ev_per_atom=entry.formation_energy_ev_per_atom,
        )
    message.competing_entry_count = standing.competing_entries
    message.reference.CopyFrom(reference_summary(found.reference))
    message.model = found.model
    message.self_consistent = found.self_consistent
    if phase.relaxation is not None:
        message.relaxed_crystal.CopyFrom(crystal_to_proto(phase.relaxation.crystal))
        message.relaxation_converged = phase.relaxation.converged


def reference_summary(reference: Reference) -> reference_pb2.ReferenceSummary:
    provenance = reference.provenance
    return reference_pb2.ReferenceSummary(
        name=provenance.name,
        entries_sha256=reference.table.sha256,
        kind=_KINDS[provenance.kind],
        model=provenance.model,
        energy_scheme=provenance.energy_scheme,
        entry_count=reference.table.entry_count,
        is_default=reference.is_default,
    )


def reference_message(reference: Reference) -> reference_pb2.Reference:
    """All that there is to know of a reference."""
    provenance = reference.provenance
    message = reference_pb2.Reference(
        summary=reference_summary(reference),
        description=provenance.description,
        attribution=provenance.attribution,
        license=provenance.license,
        atomic_numbers=reference.table.atomic_numbers,
    )
    for model, energies in sorted(reference.elemental_energies.items()):
        for symbol, energy in energies.items():
            message.elemental_energies.add(
                atomic_number=ATOMIC_NUMBERS[symbol], energy_ev_per_atom=energy, model=model
            )
    if provenance.updated is not None:
        message.update_time.FromDatetime(datetime.combine(provenance.updated, time(), UTC))
    return message


def system_of_request(request: phase_diagram_pb2.GetPhaseDiagramRequest) -> System:
    """The chemical system that is asked about; raises InvalidFieldError."""
    symbols = request.chemical_system.split("-")
    for symbol in symbols:
        if symbol not in SYMBOLS:
            raise InvalidFieldError(
                f"chemical_system: {symbol[:20]!r} is no element; write Fe-Li-O",
                field="chemical_system",
            )
    if len(set(symbols)) < len(symbols):
        raise InvalidFieldError("chemical_system names an element twice", field="chemical_system")
    if len(symbols) > MAX_ELEMENTS:
        raise InvalidFieldError(
            f"chemical_system has {len(symbols)} elements; at most {MAX_ELEMENTS} are taken",
            field="chemical_system",
        )
    limit = request.max_energy_above_hull_ev_per_atom
    if math.isnan(limit) or limit < 0:
        raise InvalidFieldError(
            "max_energy_above_hull_ev_per_atom must be 0 or more", field="max_energy_above_hull_ev_per_atom"
        )
    return tuple(sorted(symbols))


def phase_diagram(
    reference: Reference, system: System, max_distance: float | None
) -> phase_diagram_pb2.PhaseDiagram:
    """The hull of a chemical system; raises ReferenceIncompleteError."""
    found = reference.hull(system)
    # Rounding would have corners a little below or above the hull that they make.
    distances = found.hull.distances(found.compositions, found.energies).round(9) + 0.0
    order = [
        n
        for n in np.argsort(distances, kind="stable")
        if max_distance is None or distances[n] <= max_distance
    ]
    place = {int(entry): position for position, entry in enumerate(order)}
    message = phase_diagram_pb2.PhaseDiagram(
        chemical_system="-".join(system), reference=reference_summary(reference)
    )
    for n in order:
        entry = found.entries[n]
        message.entries.add(
            entry_id=entry.id,
            formula=reduced_formula_of(amounts_of(entry.formula)),
            formation_energy_ev_per_atom=entry.formation_energy_ev_per_atom,
            energy_above_hull_ev_per_atom=float(distances[n]),
        )
    if len(system) <= MAX_DIMENSION_OF_FACETS:
        for facet in found.hull.facets:
            message.facets.add(entry_indices=[place[int(corner)] for corner in facet])
    return message
