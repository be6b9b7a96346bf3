"""What a campaign looks for, and what it may spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict, cast, get_args

from google.protobuf.duration_pb2 import Duration

from crystalmesh.agent.v1 import campaign_pb2
from crystalmesh.crystal.v1 import crystal_pb2, target_pb2
from crystalmesh.generation.v1 import generation_pb2
from crystalmesh_client.conditions import CrystalSystemName, Target, check_encodable
from crystalmesh_client.json_forms import fields_form
from crystalmesh_client.prompts import TargetLike, to_target
from crystalmesh_client.properties import PROPERTY_NAMES, Range, property_name
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.runtime.errors import InvalidFieldError

CampaignGeneratorName = Literal["language_model", "ionic_substitution"]
"""A way to make crystals."""

_GENERATORS: Mapping[str, generation_pb2.Generator.ValueType] = {
    name: generation_pb2.Generator.Value(f"GENERATOR_{name.upper()}")
    for name in get_args(CampaignGeneratorName)
}
_GENERATOR_NAMES = {number: name for name, number in _GENERATORS.items()}
_MAX_NAME_CHARACTERS = 200
_MAX_HITS = 10_000
_MAX_ROUNDS = 1_000
_MAX_SECONDS = 10 * 365 * 86_400  # beyond what anybody waits for, within what a duration holds
_SHOWN_CHARACTERS = 80

# How far from a number that somebody named a property may lie: nothing is exactly 2 eV.
_NEAR_FRACTION = 0.1
_NEAR_AT_LEAST = 0.1


class CampaignSettings(TypedDict, total=False):
    """How a campaign goes about it. What is left out is the server's default."""

    name: str  # what people call it
    hits: int  # stop once so many are found; 10
    max_candidates: int | None  # to generate; 10,000
    max_seconds: float | None  # at work, pauses not counted; an hour
    max_evaluations: int | None  # of the potential, one per crystal and step; no limit
    max_planner_tokens: int | None  # of the planner's language model; 1,000,000
    max_rounds_without_progress: int  # stop after so many in a row that improve nothing; 10
    catalog: str  # to start from, and to be new to
    reference: str  # whose hull decides stability
    generators: CampaignGeneratorName | Sequence[CampaignGeneratorName]  # that may make candidates; all
    planner: str  # "bandit", or one of the server's settings
    generation_model: str
    property_model: str
    potential: str
    seed: int  # of all that is drawn; 0
    skip_retrieval: bool  # generate without reference materials
    skip_transition: bool  # generate without transitions
    allow_radioactive_elements: bool  # also those that the target does not name


@dataclass(frozen=True, kw_only=True)
class CampaignOptions:
    """`CampaignSettings` with every default; raises InvalidFieldError for what cannot be meant."""

    name: str = ""
    hits: int | None = None
    max_candidates: int | None = None
    max_seconds: float | None = None
    max_evaluations: int | None = None
    max_planner_tokens: int | None = None
    max_rounds_without_progress: int | None = None
    catalog: str = ""
    reference: str = ""
    generators: str | Sequence[str] = ()
    planner: str = ""
    generation_model: str = ""
    property_model: str = ""
    potential: str = ""
    seed: int = 0
    skip_retrieval: bool = False
    skip_transition: bool = False
    allow_radioactive_elements: bool = False

    def __post_init__(self) -> None:
        names = (self.generators,) if isinstance(self.generators, str) else tuple(self.generators)
        object.__setattr__(self, "generators", names)
        for given in fields(self):
            text = getattr(self, given.name)
            if isinstance(text, str):
                check_encodable(text, given.name)
        if len(self.name) > _MAX_NAME_CHARACTERS:
            raise InvalidFieldError(
                f"a name has at most {_MAX_NAME_CHARACTERS} characters", field="display_name"
            )
        _check_count(self.hits, 1, _MAX_HITS, "hits")
        _check_count(self.max_rounds_without_progress, 1, _MAX_ROUNDS, "max_rounds_without_progress")
        for limit in ("max_candidates", "max_evaluations", "max_planner_tokens", "seed"):
            _check_count(getattr(self, limit), 0, 2**64 - 1, limit)
        if self.max_seconds is not None and not 0 <= self.max_seconds <= _MAX_SECONDS:
            raise InvalidFieldError(f"{self.max_seconds:g} seconds are no time to work", field="max_seconds")
        for name in names:
            if name not in _GENERATORS:
                raise InvalidFieldError(
                    f"generators are {' and '.join(_GENERATORS)}, not {str(name)[:_SHOWN_CHARACTERS]!r}",
                    field="generators",
                )

    def spec(self, target: Target) -> campaign_pb2.CampaignSpec:
        """The message that asks for a campaign for this target."""
        budget = campaign_pb2.CampaignBudget(
            max_candidates=self.max_candidates,
            max_wall_time=None if self.max_seconds is None else _duration(self.max_seconds),
            max_evaluations=self.max_evaluations,
            max_planner_tokens=self.max_planner_tokens,
        )
        models = campaign_pb2.CampaignModels(
            generation=self.generation_model, property=self.property_model, potential=self.potential
        )
        return campaign_pb2.CampaignSpec(
            display_name=self.name,
            target=target.to_proto(),
            hits_wanted=self.hits or 0,
            budget=budget if budget.ListFields() else None,
            max_rounds_without_progress=self.max_rounds_without_progress or 0,
            catalog=self.catalog,
            reference=self.reference,
            generators=[_GENERATORS[name] for name in self.generators],
            planner=self.planner,
            models=models if models.ListFields() else None,
            seed=self.seed,
            skip_retrieval=self.skip_retrieval,
            skip_transition=self.skip_transition,
            allow_radioactive_elements=self.allow_radioactive_elements,
        )


@dataclass(frozen=True)
class CampaignBudget:
    """What a campaign may spend; it stops when the first is spent. None: no limit."""

    max_candidates: int | None
    max_seconds: float | None
    max_evaluations: int | None
    max_planner_tokens: int | None


@dataclass(frozen=True)
class CampaignSpec:
    """What a campaign looks for and how, with the server's defaults filled in."""

    name: str
    target: Target
    hits: int  # it stops once so many are found
    budget: CampaignBudget
    max_rounds_without_progress: int
    catalog: str
    reference: str
    generators: tuple[str, ...]
    planner: str
    generation_model: str
    property_model: str
    potential: str
    seed: int
    skip_retrieval: bool
    skip_transition: bool
    allow_radioactive_elements: bool
    message: campaign_pb2.CampaignSpec = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; of the target what is set."""
        known = fields_form(self)
        return {**known, "target": {name: part for name, part in known["target"].items() if part}}


def campaign_target(given: TargetLike | str) -> Target:
    """The target of a Target, of its parts by name, or of a text in plain English.

    Rules read elements, formulas, symmetry and ranges out of a text ("a lithium oxide with a gap of 2-4 eV
    that is stable"); a number alone stands for a range of 10% around it. The text goes along for the models
    to read. InvalidFieldError when the rules find nothing in it; `Target(free_text=…)` says it is meant so.
    """
    if not isinstance(given, str):
        return to_target(given)
    from crystalmesh_common.crystal.description.plain_words import (  # noqa: PLC0415 -- takes half a second
        target_of_words,
    )

    free_text = Target(free_text=given).free_text  # checked
    understood = target_of_words(given)
    if understood is None:
        raise InvalidFieldError(
            f"{given[:_SHOWN_CHARACTERS]!r} says nothing that can be looked for: name elements or a formula,"
            " a range like 'a gap of 2-4 eV', or a crystal system",
            field="target",
        )
    understood.free_text = free_text
    for bounds in understood.properties:
        _widen(bounds)
    return target_from(understood)


def target_from(message: target_pb2.Target) -> Target:
    """The typed form of a message."""
    ranges = {property_name(each.property): _range(each) for each in message.properties}
    symmetry = message.WhichOneof("symmetry")
    return Target(
        elements=tuple(map(symbol_of, message.required_elements)),
        only_elements=tuple(map(symbol_of, message.allowed_elements)),
        without_elements=tuple(map(symbol_of, message.forbidden_elements)),
        formula=message.formula,
        chemical_system=message.chemical_system,
        space_group=message.space_group_number if symmetry == "space_group_number" else None,
        crystal_system=_crystal_system(message.crystal_system) if symmetry == "crystal_system" else None,
        free_text=message.free_text,
        **{name: bounds for name, bounds in ranges.items() if name in PROPERTY_NAMES},
    )


def campaign_spec_from(message: campaign_pb2.CampaignSpec) -> CampaignSpec:
    """The typed form of a message."""
    budget, models = message.budget, message.models
    return CampaignSpec(
        name=message.display_name,
        target=target_from(message.target),
        hits=message.hits_wanted,
        budget=CampaignBudget(
            max_candidates=budget.max_candidates if budget.HasField("max_candidates") else None,
            max_seconds=seconds_of(budget.max_wall_time) if budget.HasField("max_wall_time") else None,
            max_evaluations=budget.max_evaluations if budget.HasField("max_evaluations") else None,
            max_planner_tokens=budget.max_planner_tokens if budget.HasField("max_planner_tokens") else None,
        ),
        max_rounds_without_progress=message.max_rounds_without_progress,
        catalog=message.catalog,
        reference=message.reference,
        generators=tuple(map(generator_name, message.generators)),
        planner=message.planner,
        generation_model=models.generation,
        property_model=models.property,
        potential=models.potential,
        seed=message.seed,
        skip_retrieval=message.skip_retrieval,
        skip_transition=message.skip_transition,
        allow_radioactive_elements=message.allow_radioactive_elements,
        message=message,
    )


def generator_name(number: int) -> str:
    """The name of a generator; "unspecified" for one that this client does not know."""
    return _GENERATOR_NAMES.get(cast("generation_pb2.Generator.ValueType", number), "unspecified")


def seconds_of(message: Duration) -> float:
    """A duration in seconds."""
    return message.seconds + message.nanos / 1e9


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def _range(message: target_pb2.PropertyRange) -> Range:
    low = message.min if message.HasField("min") else None
    high = message.max if message.HasField("max") else None
    return low, high


def _widen(bounds: target_pb2.PropertyRange) -> None:
    """Make a range of a single number: around it, and of a distance to the hull from nothing up to it."""
    if not (bounds.HasField("min") and bounds.HasField("max") and bounds.min == bounds.max):
        return
    number = bounds.min
    near = max(_NEAR_FRACTION * abs(number), _NEAR_AT_LEAST)
    match property_name(bounds.property):
        case "energy_above_hull_ev_per_atom":
            bounds.ClearField("min")
        case "formation_energy_ev_per_atom":
            bounds.min, bounds.max = number - near, number + near
        case _:
            bounds.min, bounds.max = max(number - near, 0.0), number + near


def _crystal_system(number: crystal_pb2.CrystalSystem.ValueType) -> CrystalSystemName | None:
    name = crystal_pb2.CrystalSystem.Name(number).removeprefix("CRYSTAL_SYSTEM_").lower()
    return cast("CrystalSystemName", name) if name in get_args(CrystalSystemName) else None


def _check_count(count: int | None, low: int, high: int, field_name: str) -> None:
    given: object = count  # perhaps no whole number, by callers who check no types
    if given is not None and not (isinstance(given, int) and low <= given <= high):
        raise InvalidFieldError(
            f"{field_name} is a whole number from {low:,} to {high:,}, not {count}", field=field_name
        )
