"""Candidates read back from the results.jsonl that `crystalmesh design --out` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crystalmesh.agent.v1 import campaign_candidate_pb2
from crystalmesh_client.campaign_candidates import candidate_state_number
from crystalmesh_client.cli.reports import usage_error
from crystalmesh_client.properties import PropertyValue, ValueSource, value_to_proto
from crystalmesh_common.runtime.errors import CrystalMeshError

LINES = "results.jsonl"
_CAMPAIGN = "campaign.json"

Candidate = campaign_candidate_pb2.CampaignCandidate


def read_results(path: Path) -> tuple[list[Candidate], datetime]:
    """The candidates in a folder of results or in its results.jsonl, and when they last changed.

    What an export needs of each is there; the trace of its way through the stages is not.
    """
    file = path / LINES if path.is_dir() else path
    try:
        return list(_candidates(file)), _ended(file)
    except OSError as error:
        usage_error(f"{file} cannot be read: {error.strerror}")


def _candidates(file: Path) -> Iterator[Candidate]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield _candidate(json.loads(line))
            except (AttributeError, KeyError, TypeError, ValueError, CrystalMeshError) as error:
                usage_error(f"{file}, line {number}, is no candidate of a campaign: {error}")


def _ended(file: Path) -> datetime:
    """When the campaign ended, as the file beside says; else when this file was written."""
    try:
        ended = json.loads((file.parent / _CAMPAIGN).read_text(encoding="utf-8")).get("ended")
        return datetime.fromisoformat(ended)
    except (OSError, AttributeError, TypeError, ValueError):
        return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def _candidate(told: Mapping[str, Any]) -> Candidate:
    state = candidate_state_number(told["state"])
    if state is None:
        raise ValueError(f"{told['state']!r} is no state")
    message = Candidate(
        id=told["id"],
        campaign_id=told["campaign_id"],
        round=told["round"],
        rank=told["rank"],
        on_pareto_front=told["on_pareto_front"],
        state=state,
        properties=[value_to_proto(name, _value(value)) for name, value in told["properties"].items()],
    )
    if told["relaxation"] is not None:
        message.relaxation.converged = told["relaxation"]["converged"]
        message.relaxation.final.model = told["relaxation"]["model"]
    if told["crystal"] is not None:
        _put_crystal(message, told["crystal"])
    if told["generated"] is not None:
        _put_origin(message, told["generated"])
    if told["hull_distance"] is not None:
        _put_hull(message, told["hull_distance"])
    for part in ("starting_material", "novelty", "target_fit"):
        if told[part] is not None:
            _fill(getattr(message, part), told[part])
    return message


def _value(told: Mapping[str, Any]) -> PropertyValue:
    source = ValueSource(**told["source"])
    return PropertyValue(told["value"], source, told["uncertainty"], told["unit"])


def _put_crystal(message: Candidate, told: Mapping[str, Any]) -> None:
    """The crystal where the message has it: relaxed if it was, else as generated."""
    relaxed = message.HasField("relaxation")
    crystal = message.relaxation.crystal if relaxed else message.generated.crystal
    crystal.atomic_numbers.extend(told["atomic_numbers"])
    for vector in told["cell_angstrom"]:
        crystal.cell_angstrom.extend(vector)
    for site in told["fractional_coordinates"]:
        crystal.fractional_coordinates.extend(site)


def _put_origin(message: Candidate, told: Mapping[str, Any]) -> None:
    generated, origin = message.generated, told["origin"]
    generated.origin.reference_id, generated.origin.seed = origin["reference_id"], origin["seed"]
    if origin["language_model"] is not None:
        _fill(generated.origin.language_model, origin["language_model"])
    elif origin["ionic_substitution"] is not None:
        generated.origin.ionic_substitution.table_version = origin["ionic_substitution"]["table_version"]
    if told["transition"] is not None:
        generated.transition.text = told["transition"]["text"]


def _put_hull(message: Candidate, told: Mapping[str, Any]) -> None:
    hull = message.hull_distance
    hull.energy_above_hull_ev_per_atom = told["energy_above_hull_ev_per_atom"]
    hull.formation_energy_ev_per_atom = told["formation_energy_ev_per_atom"]
    hull.model, hull.reference.name = told["model"], told["reference"]["name"]
    for product in told["decomposition"]:
        _fill(hull.decomposition.add(), product)


def _fill(message: Any, told: Mapping[str, Any]) -> None:
    """Set the fields of a message by their names; null is unset."""
    for name, value in told.items():
        if isinstance(value, list):
            getattr(message, name).extend(value)
        elif value is not None:
            setattr(message, name, value)
