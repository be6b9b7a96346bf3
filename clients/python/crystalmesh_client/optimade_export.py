"""Candidates of campaigns as OPTIMADE structures: JSON lines, or the answer that a server would give.

Values of ours have the prefix `_crystalmesh_` and are described, with units, in the info entries. Only what
is a crystal is exported: relaxed where it was, else as generated.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import gcd
from string import ascii_lowercase, ascii_uppercase
from typing import Any

from crystalmesh.agent.v1 import campaign_candidate_pb2
from crystalmesh_client.optimade_properties import (
    OPTIMADE_VERSION,
    PREFIX,
    STANDARD_PROPERTIES,
    OptimadeProperty,
    info_entries,
    own,
)
from crystalmesh_client.properties import property_name, value_from
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import CrystalMeshError

Candidate = campaign_candidate_pb2.CampaignCandidate

_MAX_ATOMS = 10_000
_SYMPREC_ANGSTROM = 0.1
_HULL = "energy_above_hull_ev_per_atom"

# Property of the API: its name here, its unit, and words.
_VALUES: dict[str, tuple[str, str, str]] = {
    _HULL: ("energy_above_hull", "eV", "Energy above the convex hull, per atom; negative below it"),
    "formation_energy_ev_per_atom": (
        "formation_energy",
        "eV",
        "Formation energy from the elements, per atom",
    ),
    "band_gap_ev": ("band_gap", "eV", "Electronic band gap; 0 for a metal"),
    "bulk_modulus_gpa": ("bulk_modulus", "GPa", "Bulk modulus, Voigt-Reuss-Hill average"),
    "shear_modulus_gpa": ("shear_modulus", "GPa", "Shear modulus, Voigt-Reuss-Hill average"),
    "magnetization_mu_b_per_cubic_angstrom": (
        "magnetization",
        "mu_B*angstrom^-3",
        "Absolute total magnetic moment over cell volume",
    ),
    "density_g_per_cubic_centimeter": ("density", "g*cm^-3", "Mass density"),
}


def _value_properties() -> Iterator[OptimadeProperty]:
    for name, unit, words in _VALUES.values():
        yield own(name, "float", f"{words}.", unit)
        yield own(f"{name}_uncertainty", "float", f"{words}: one standard deviation.", unit)
        yield own(f"{name}_source", "string", f"{words}: the kind of source, its name and version.")


OWN_PROPERTIES: tuple[OptimadeProperty, ...] = (
    *_value_properties(),
    own("hull_reference", "string", "The set of entries whose hull the energy above the hull counts from."),
    own("decomposition", "string", "Phases it would decompose into, with their shares of the atoms."),
    own("campaign_id", "string", "The campaign that made it."),
    own("state", "string", "How far it came: in_progress, rejected, ranked or hit."),
    own("rank", "integer", "Its place among the ranked, from 1.", "dimensionless"),
    own("score", "float", "How well it fulfils the target, 0 to 1; larger is better.", "dimensionless"),
    own("fulfils_target", "boolean", "Whether all parts of the target hold."),
    own("on_pareto_front", "boolean", "Whether none is better in one wish without being worse in another."),
    own("new_to_catalog", "boolean", "Whether the catalog that it was compared with has no such structure."),
    own("catalog_version", "string", "The version of that catalog."),
    own("first_in_campaign", "boolean", "Whether no earlier candidate relaxed to the same structure."),
    own("relaxation_converged", "boolean", "Whether its relaxation converged; null: it was not relaxed."),
    own("relaxation_model", "string", "The potential that relaxed it."),
    own("generator", "string", "What made it: language_model or ionic_substitution."),
    own("generator_model", "string", "The model or table that made it, with its version."),
    own("seed", "string", "Seed of the sample, as decimal digits."),
    own("starting_material", "string", "Id of the known material that it started from."),
    own("transition", "string", "The way from there, in words of a model."),
)
PROPERTIES = (*STANDARD_PROPERTIES, *OWN_PROPERTIES)


def crystal_of(candidate: Candidate) -> Crystal | None:
    """The crystal that is exported; None where there is none, or one that nothing can compute with."""
    relaxed = candidate.relaxation
    try:
        crystal = crystal_from_proto(
            relaxed.crystal if relaxed.HasField("crystal") else candidate.generated.crystal
        )
        check_crystal(crystal, max_atoms=_MAX_ATOMS)
    except CrystalMeshError:
        return None
    return crystal


def optimade_lines(
    candidates: Iterable[Candidate], *, written: datetime, last_modified: datetime | None = None
) -> Iterator[str]:
    """The lines of a file in OPTIMADE's JSON lines format for exchanging databases, without line ends.

    `last_modified` is when the candidates last changed, for example the end of the campaign.
    """
    entries = _entries(candidates, last_modified)
    yield _line({"x-optimade": {"api_version": OPTIMADE_VERSION, "meta": {"api_version": OPTIMADE_VERSION}}})
    yield _line({"meta": _meta(len(entries), written)})
    yield from map(_line, info_entries(PROPERTIES))
    yield from map(_line, entries)


def optimade_response(
    candidates: Iterable[Candidate], *, written: datetime, last_modified: datetime | None = None
) -> dict[str, Any]:
    """The same as a server's answer for /structures; `meta._crystalmesh_info` holds the info entries."""
    entries = _entries(candidates, last_modified)
    meta = {**_meta(len(entries), written), f"{PREFIX}info": info_entries(PROPERTIES)}
    return {"data": entries, "links": {"next": None}, "meta": meta}


def optimade_entry(
    candidate: Candidate, crystal: Crystal, last_modified: datetime | None = None
) -> dict[str, Any]:
    """One structure: its standard properties, and ours; what is not known is null."""
    campaign = candidate.campaign_id
    attributes = {
        "immutable_id": f"{campaign}/{candidate.id}" if campaign else candidate.id,
        "last_modified": None if last_modified is None else _moment(last_modified),
        **_structure(crystal),
        **{PREFIX + name: value for name, value in _provenance(candidate).items()},
        **{PREFIX + name: value for name, value in _values(candidate).items()},
    }
    return {"type": "structures", "id": candidate.id, "attributes": attributes}


def _entries(candidates: Iterable[Candidate], last_modified: datetime | None) -> list[dict[str, Any]]:
    with_crystals = ((each, crystal_of(each)) for each in candidates)
    return [
        optimade_entry(each, crystal, last_modified) for each, crystal in with_crystals if crystal is not None
    ]


def _structure(crystal: Crystal) -> dict[str, Any]:
    symbols = [symbol_of(number) for number in crystal.numbers.tolist()]
    counts = Counter(symbols)
    elements = sorted(counts)
    factor = gcd(*counts.values())
    reduced = {element: counts[element] // factor for element in elements}
    return {
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": [counts[element] / len(symbols) for element in elements],
        "chemical_formula_descriptive": reduced_formula(crystal),
        "chemical_formula_reduced": _formula(reduced.items()),
        "chemical_formula_hill": _formula((element, counts[element]) for element in _hill(elements)),
        "chemical_formula_anonymous": _anonymous(list(reduced.values())),
        "dimension_types": [1, 1, 1],
        "nperiodic_dimensions": 3,
        "lattice_vectors": crystal.cell.tolist(),
        "space_group_it_number": _space_group(crystal),
        "cartesian_site_positions": crystal.cart_coords.tolist(),
        "nsites": len(symbols),
        "species_at_sites": symbols,
        "species": [
            {"name": element, "chemical_symbols": [element], "concentration": [1.0]} for element in elements
        ],
        "structure_features": [],
    }


def _formula(parts: Iterable[tuple[str, int]]) -> str:
    return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in parts)


def _hill(elements: Sequence[str]) -> list[str]:
    """Carbon, hydrogen and the others; without carbon all by alphabet."""
    first = [element for element in ("C", "H") if element in elements] if "C" in elements else []
    return [*first, *(element for element in elements if element not in first)]


def _anonymous(counts: Sequence[int]) -> str:
    """Letters for elements, the largest count first: A, B, … Z, Aa, Ba, and so on."""
    letters = [upper + lower for lower in ("", *ascii_lowercase) for upper in ascii_uppercase]
    return _formula(zip(letters, sorted(counts, reverse=True), strict=False))


def _space_group(crystal: Crystal) -> int | None:
    try:
        from crystalmesh_common.crystal.symmetry import space_group_number  # noqa: PLC0415 -- needs moyopy

        return space_group_number(crystal, symprec=_SYMPREC_ANGSTROM)
    except (CrystalMeshError, ImportError):
        return None


def _values(candidate: Candidate) -> dict[str, Any]:
    """What is known of each property: value, one standard deviation, source."""
    known = {property_name(each.property): value_from(each) for each in candidate.properties}
    attributes: dict[str, Any] = {}
    for property_, (name, _, _) in _VALUES.items():
        value = known.get(property_)
        attributes[name] = None if value is None else _finite(value.value)
        uncertainty = None if value is None else value.uncertainty
        attributes[f"{name}_uncertainty"] = None if uncertainty is None else _finite(uncertainty)
        source = None if value is None else value.source
        words = "" if source is None else " ".join(filter(None, (source.kind, source.name, source.version)))
        attributes[f"{name}_source"] = words or None
    if candidate.HasField("hull_distance"):
        hull = candidate.hull_distance
        by = hull.model or "energy given"
        attributes["energy_above_hull"] = _finite(hull.energy_above_hull_ev_per_atom)
        attributes["energy_above_hull_source"] = f"{by} against {hull.reference.name}"
    return attributes


def _provenance(candidate: Candidate) -> dict[str, Any]:
    """Where it comes from and how it fared, in the order of OWN_PROPERTIES."""
    fit, novelty, relaxation = candidate.target_fit, candidate.novelty, candidate.relaxation
    has_fit, has_novelty = candidate.HasField("target_fit"), candidate.HasField("novelty")
    relaxed = candidate.HasField("relaxation")
    generator, model = _made_by(candidate)
    return {
        "hull_reference": candidate.hull_distance.reference.name or None,
        "decomposition": _decomposition(candidate) or None,
        "campaign_id": candidate.campaign_id or None,
        "state": _state(candidate),
        "rank": candidate.rank or None,
        "score": _finite(fit.score) if has_fit else None,
        "fulfils_target": fit.fulfilled if has_fit else None,
        "on_pareto_front": candidate.on_pareto_front if candidate.rank else None,
        "new_to_catalog": novelty.new_to_catalog if has_novelty else None,
        "catalog_version": novelty.catalog_version or None,
        "first_in_campaign": novelty.first_in_campaign if has_novelty else None,
        "relaxation_converged": relaxation.converged if relaxed else None,
        "relaxation_model": relaxation.final.model or None,
        "generator": generator,
        "generator_model": model,
        "seed": str(candidate.generated.origin.seed) if candidate.generated.HasField("origin") else None,
        "starting_material": candidate.starting_material.material_id
        or candidate.generated.origin.reference_id
        or None,
        "transition": candidate.generated.transition.text or None,
    }


def _state(candidate: Candidate) -> str | None:
    if candidate.state not in campaign_candidate_pb2.CandidateState.values() or not candidate.state:
        return None
    name = campaign_candidate_pb2.CandidateState.Name(candidate.state)
    return name.removeprefix("CANDIDATE_STATE_").lower()


def _decomposition(candidate: Candidate) -> str:
    products = candidate.hull_distance.decomposition
    return " + ".join(f"{each.atom_fraction:.4f} {each.formula}" for each in products)


def _made_by(candidate: Candidate) -> tuple[str | None, str | None]:
    origin = candidate.generated.origin
    kind = origin.WhichOneof("generator")
    if kind == "language_model":
        model = f"{origin.language_model.model} {origin.language_model.model_version}".strip()
    else:
        model = origin.ionic_substitution.table_version
    return kind, model or None


def _meta(entries: int, written: datetime) -> dict[str, Any]:
    return {
        "api_version": OPTIMADE_VERSION,
        "query": {"representation": "/structures"},
        "more_data_available": False,
        "time_stamp": _moment(written),
        "data_returned": entries,
        "data_available": entries,
        "provider": {
            "name": "CrystalMesh",
            "description": "Crystals from a design campaign on somebody's own mesh of model servers.",
            "prefix": PREFIX.strip("_"),
        },
    }


def _moment(moment: datetime) -> str:
    """To the second, in UTC, as RFC 3339 writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False)
