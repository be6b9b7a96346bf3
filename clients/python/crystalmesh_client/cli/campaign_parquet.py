"""Candidates of a campaign as a Parquet table: a row each, the same columns for every campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from crystalmesh_client.campaign_candidates import CampaignCandidate
from crystalmesh_client.properties import PROPERTY_NAMES

_SCHEMA = pa.schema(
    [
        ("campaign_id", pa.string()),
        ("candidate_id", pa.string()),
        ("rank", pa.int64()),
        ("is_hit", pa.bool_()),
        ("on_pareto_front", pa.bool_()),
        ("score", pa.float64()),
        ("misses", pa.list_(pa.string())),
        ("formula", pa.string()),
        ("chemical_system", pa.string()),
        ("space_group_number", pa.int64()),  # as it was made
        ("atom_count", pa.int64()),
        *((name, pa.float64()) for name in PROPERTY_NAMES),
        *((f"{name}_uncertainty", pa.float64()) for name in PROPERTY_NAMES),
        ("energy_ev_per_atom", pa.float64()),
        ("max_force_ev_per_angstrom", pa.float64()),
        ("relaxation_steps", pa.int64()),
        ("converged", pa.bool_()),
        ("reference", pa.string()),
        ("potential", pa.string()),
        ("new_to_catalog", pa.bool_()),
        ("first_in_campaign", pa.bool_()),
        ("round", pa.int64()),
        ("starting_catalog", pa.string()),
        ("starting_material_id", pa.string()),
        ("generator", pa.string()),
        ("generator_model", pa.string()),
        ("seed", pa.uint64()),
        ("file", pa.string()),
        ("cif", pa.string()),
    ]
)


def write_parquet(path: Path, candidates: Sequence[CampaignCandidate], files: Mapping[str, str]) -> None:
    """Write the table; `files` are the names of the CIF files by candidate id."""
    rows = [{**_row(each), "file": files[each.id]} for each in candidates]
    parquet.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), path)


def _row(candidate: CampaignCandidate) -> dict[str, Any]:
    fit, novelty, start = candidate.target_fit, candidate.novelty, candidate.starting_material
    return {
        "campaign_id": candidate.campaign_id,
        "candidate_id": candidate.id,
        "rank": candidate.rank,
        "is_hit": candidate.is_hit,
        "on_pareto_front": candidate.on_pareto_front,
        "score": None if fit is None else fit.score,
        "misses": [] if fit is None else list(fit.misses),
        "formula": candidate.formula,
        "chemical_system": candidate.chemical_system,
        "atom_count": None if candidate.crystal is None else len(candidate.crystal),
        **_values(candidate),
        **_evidence(candidate),
        "new_to_catalog": None if novelty is None else novelty.new_to_catalog,
        "first_in_campaign": None if novelty is None else novelty.first_in_campaign,
        "round": candidate.round,
        "starting_catalog": None if start is None else start.catalog,
        "starting_material_id": None if start is None else start.material_id,
        **_origin(candidate),
        "cif": candidate.cif,
    }


def _values(candidate: CampaignCandidate) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name in PROPERTY_NAMES:
        known = candidate.properties.get(name)
        values[name] = None if known is None else known.value
        values[f"{name}_uncertainty"] = None if known is None else known.uncertainty
    if values["energy_above_hull_ev_per_atom"] is None:
        values["energy_above_hull_ev_per_atom"] = candidate.energy_above_hull_ev_per_atom
    return values


def _evidence(candidate: CampaignCandidate) -> dict[str, Any]:
    relaxation, distance = candidate.relaxation, candidate.hull_distance
    evidence: dict[str, Any] = {}
    if relaxation is not None:
        evidence |= {
            "energy_ev_per_atom": relaxation.energy_ev_per_atom,
            "max_force_ev_per_angstrom": relaxation.max_force_ev_per_angstrom,
            "relaxation_steps": relaxation.steps,
            "converged": relaxation.converged,
        }
    if distance is not None:
        evidence |= {"reference": distance.reference.name, "potential": distance.model}
    return evidence


def _origin(candidate: CampaignCandidate) -> dict[str, Any]:
    if candidate.generated is None:
        return {}
    origin = candidate.generated.origin
    return {
        "space_group_number": candidate.generated.space_group_number,
        "generator": origin.generator,
        "generator_model": None if origin.language_model is None else str(origin.language_model),
        "seed": origin.seed,
    }
