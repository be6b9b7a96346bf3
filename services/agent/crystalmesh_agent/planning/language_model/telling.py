"""What a model is told of a campaign.

Names of materials come from catalogs that anybody may have filled. A model is told keys of ours ("s1") and
formulas; what does not look like a formula is told by its elements. The scientist's own words go along as
what they are. None of it can do more than lead to another sound plan.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crystalmesh.agent.v1.campaign_candidate_pb2 import RejectionReason, StartingMaterial
from crystalmesh.crystal.v1.crystal_pb2 import CrystalSystem
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh_agent.planning.choices import edits_of, generator_name, usable_generators
from crystalmesh_agent.planning.planner import Situation, StartingPoint, Trial
from crystalmesh_common.crystal.elements import symbol_of

POINTS_AT_ONCE = 15
TRIALS_AT_ONCE = 20
_FORMULA = re.compile(r"([A-Z][a-z]?|[0-9.()\[\]])+")
_MOST_FORMULA = 80


class Telling:
    """A situation, told in parts."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        best_first = sorted(situation.starting_points, key=lambda point: -point.promise)
        self.points: Mapping[str, StartingPoint] = {
            f"s{place}": point for place, point in enumerate(best_first, start=1)
        }
        self._keys = {_material(point.material): key for key, point in self.points.items()}

    def situation(self) -> dict[str, Any]:
        """Where the campaign is, with the best starting points and the latest trials."""
        now = self._situation
        return {
            "target": _target(now.spec.target),
            "round": now.round,
            "hits_so_far": now.hits,
            "hits_wanted": now.spec.hits_wanted,
            "candidates_wanted_this_round": now.candidates_wanted,
            "generators": [generator_name(each) for each in usable_generators(now)],
            "by_generator": dict(_sums(now.trials)),
            **self.starting_points(1, POINTS_AT_ONCE),
            **self.trials(0, TRIALS_AT_ONCE),
        }

    def starting_points(self, first: int, count: int) -> dict[str, Any]:
        """Some starting points, the most promising first."""
        keys = list(self.points)[max(0, first - 1) :][: max(0, min(count, POINTS_AT_ONCE))]
        return {
            "starting_points_in_all": len(self.points),
            "starting_points": [self._point(key, self.points[key]) for key in keys],
        }

    def trials(self, skip: int, count: int) -> dict[str, Any]:
        """Some trials, the latest first."""
        latest = list(reversed(self._situation.trials))[max(0, skip) :]
        shown = latest[: max(0, min(count, TRIALS_AT_ONCE))]
        return {"trials_in_all": len(self._situation.trials), "trials": list(map(self._trial, shown))}

    def edits(self, key: str | None) -> Sequence[str]:
        """The edits that a starting point admits."""
        return edits_of(None if key is None else self.points[key], self._situation.spec.target)

    def _point(self, key: str, point: StartingPoint) -> dict[str, Any]:
        return {
            "key": key,
            "formula": _formula(point),
            "known": {
                _name(Property.Name(each), "PROPERTY_"): _short(value)
                for each, value in sorted(point.values.items())
                if each in Property.values() and math.isfinite(value)
            },
            "promise": _short(point.promise),
            "own_candidate": not point.material.catalog,
            "edits": list(self.edits(key)),
        }

    def _trial(self, trial: Trial) -> dict[str, Any]:
        batch = trial.batch
        start = None
        if batch.HasField("starting_material"):
            start = self._keys.get(_material(batch.starting_material), "no longer offered")
        return {
            "starting_point": start,
            "generator": generator_name(batch.generator),
            "temperature": batch.temperature if batch.HasField("temperature") else None,
            "edit": plain_edit(batch.edit),
            "candidates": trial.candidates,
            "through_all_stages": trial.ranked,
            "hits": trial.hits,
            "best_score": _short(trial.best_score),
            "cpu_seconds": _short(trial.cpu_seconds),
            "rejected": {
                _name(RejectionReason.Name(reason), "REJECTION_REASON_"): count
                for reason, count in sorted(trial.rejections.items())
                if reason in RejectionReason.values()
            },
        }


def as_json(told: Mapping[str, Any]) -> str:
    """As models read it: without spaces that cost tokens."""
    return json.dumps(told, separators=(",", ":"))


def plain_edit(edit: str) -> str:
    """An edit, where it is one of ours."""
    return edit if re.fullmatch(r"(replace [A-Z][a-z]?)?", edit) else "other"


def _sums(trials: Sequence[Trial]) -> Iterator[tuple[str, Mapping[str, float]]]:
    for generator in dict.fromkeys(trial.batch.generator for trial in trials):
        own = [trial for trial in trials if trial.batch.generator == generator]
        yield (
            generator_name(generator),
            {
                "candidates": sum(trial.candidates for trial in own),
                "hits": sum(trial.hits for trial in own),
                "cpu_seconds": _short(sum(trial.cpu_seconds for trial in own)),
            },
        )


def _target(target: Target) -> dict[str, Any]:
    told: dict[str, Any] = {
        "ranges": {
            _name(Property.Name(each.property), "PROPERTY_"): _range(each)
            for each in target.properties
            if each.property in Property.values()
        },
        "required_elements": list(map(symbol_of, target.required_elements)),
        "allowed_elements": list(map(symbol_of, target.allowed_elements)),
        "forbidden_elements": list(map(symbol_of, target.forbidden_elements)),
        "formula": target.formula,
        "chemical_system": target.chemical_system,
        "space_group_number": target.space_group_number,
        "scientists_words": target.free_text,
    }
    if target.crystal_system in CrystalSystem.values() and target.crystal_system:
        told["crystal_system"] = _name(CrystalSystem.Name(target.crystal_system), "CRYSTAL_SYSTEM_")
    return {part: value for part, value in told.items() if value}


def _range(bounds: PropertyRange) -> Sequence[float | None]:
    return [
        bounds.min if bounds.HasField("min") else None,
        bounds.max if bounds.HasField("max") else None,
    ]


def _formula(point: StartingPoint) -> str:
    formula = point.material.formula
    symbols = set(map(symbol_of, point.elements))
    sound = len(formula) <= _MOST_FORMULA and _FORMULA.fullmatch(formula)
    if sound and set(re.findall(r"[A-Z][a-z]?", formula)) == symbols:
        return formula
    return "-".join(sorted(symbols))


def _material(material: StartingMaterial) -> tuple[str, str]:
    return material.catalog, material.material_id


def _name(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def _short(value: float) -> float:
    return float(f"{value:.4g}")
