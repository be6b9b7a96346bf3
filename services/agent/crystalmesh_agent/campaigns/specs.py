"""What a caller asks of a campaign: checked, and with its defaults filled in."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from google.protobuf.duration_pb2 import Duration

from crystalmesh.agent.v1.campaign_pb2 import CampaignBudget, CampaignSpec
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.campaigns.telling import range_in_words
from crystalmesh_agent.campaigns.wishes import DEFAULT_MAX_ENERGY_ABOVE_HULL_EV_PER_ATOM
from crystalmesh_common.crystal.composition import reduced_formula_of_text
from crystalmesh_common.crystal.description import target_of_words
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.targets import check_target, crystal_system_of_target, target_ranges
from crystalmesh_common.runtime.errors import (
    ContradictoryTargetError,
    InvalidFieldError,
    UnknownEnumValueError,
)

MAX_DISPLAY_NAME_CHARACTERS = 200
MAX_NAME_CHARACTERS = 200
"""Of catalogs, references, planners and models."""
MAX_HITS = 10_000
MAX_ROUNDS_WITHOUT_PROGRESS = 1_000

DEFAULT_HITS = 10
DEFAULT_ROUNDS_WITHOUT_PROGRESS = 10
DEFAULT_CANDIDATES = 10_000
DEFAULT_WALL_TIME_SECONDS = 3_600
DEFAULT_PLANNER_TOKENS = 1_000_000
BUILT_IN_PLANNER = "bandit"

_HULL = Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM
_LONGEST_DURATION_SECONDS = 315_576_000_000
"""What a Duration may hold: 10,000 years."""
_SYMBOLS_IN_NAME = 8

# Somebody who writes "a gap of 2 eV" means about 2: by a tenth, and at least by this much.
_MEANT_WITHIN = 0.1
_MEANT_WITHIN_AT_LEAST: Mapping[Property.ValueType, float] = {
    Property.PROPERTY_FORMATION_ENERGY_EV_PER_ATOM: 0.05,
    Property.PROPERTY_BAND_GAP_EV: 0.1,
    Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM: 0.01,
    Property.PROPERTY_BULK_MODULUS_GPA: 5.0,
    Property.PROPERTY_SHEAR_MODULUS_GPA: 5.0,
    Property.PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER: 0.1,
}


def completed(spec: CampaignSpec) -> CampaignSpec:
    """The spec with every default that needs no service; completing it again changes nothing.

    Parts of the target that only the free text asks for are set, as far as rules can read it and what the
    caller set leaves room; the text stays. Catalog, reference, models and generators that are unset stay so.

    Raises InvalidFieldError, UnknownEnumValueError or ContradictoryTargetError with the `field` by its path
    in the spec. A target that nothing in the world fulfils is fine. The first formula takes half a second,
    so this is not for an event loop.
    """
    whole = CampaignSpec()
    whole.CopyFrom(spec)
    whole.target.CopyFrom(_completed_target(spec.target))
    whole.display_name = _display_name(spec)
    whole.hits_wanted = _count("hits_wanted", spec.hits_wanted, DEFAULT_HITS, MAX_HITS)
    whole.max_rounds_without_progress = _count(
        "max_rounds_without_progress",
        spec.max_rounds_without_progress,
        DEFAULT_ROUNDS_WITHOUT_PROGRESS,
        MAX_ROUNDS_WITHOUT_PROGRESS,
    )
    whole.budget.CopyFrom(_completed_budget(spec.budget))
    del whole.generators[:]
    whole.generators.extend(_generators(spec.generators))
    whole.planner = spec.planner or BUILT_IN_PLANNER
    _check_names(whole)
    return whole


def display_name_of(target: Target) -> str:
    """A phrase for a valid target: "Li-O, band gap 2 to 4 eV"; of free text alone its beginning."""
    parts = [*_element_phrases(target), *_symmetry_phrases(target)]
    parts += [range_in_words(name, wanted) for name, wanted in target_ranges(target).items()]
    phrase = ", ".join(parts) or " ".join(target.free_text.split())
    return textwrap.shorten(phrase, MAX_DISPLAY_NAME_CHARACTERS, placeholder=" …")


def _completed_target(target: Target) -> Target:
    check_target(target)
    whole = _understood(target)
    if not whole.ByteSize():
        raise InvalidFieldError("the target asks for nothing: set at least one part", field="target")
    if all(bounds.property != _HULL for bounds in whole.properties):
        whole.properties.add(property=_HULL, max=DEFAULT_MAX_ENERGY_ABOVE_HULL_EV_PER_ATOM)
    return whole


def _understood(target: Target) -> Target:
    """A target that passed the check, with what its free text asks for besides."""
    whole = Target()
    whole.CopyFrom(target)
    if not target.crystal_system and not target.HasField("space_group_number"):
        whole.ClearField("crystal_system")  # set, and unspecified
    if not target.free_text.strip():
        whole.ClearField("free_text")
    for part in _parts_of_words(whole):
        wider = Target()
        wider.CopyFrom(whole)
        wider.MergeFrom(part)
        try:
            check_target(wider)
        except ContradictoryTargetError:  # what the caller set wins
            continue
        whole = wider
    return whole


def _parts_of_words(target: Target) -> list[Target]:
    """What the free text asks for and the caller has not set, part by part."""
    asked = target_of_words(target.free_text)
    if asked is None:
        return []
    parts = []
    if not (target.formula or target.chemical_system or target.required_elements or target.allowed_elements):
        parts.append(Target(formula=asked.formula, required_elements=asked.required_elements))
    if not target.forbidden_elements:
        parts.append(Target(forbidden_elements=asked.forbidden_elements))
    if target.WhichOneof("symmetry") is None and asked.HasField("space_group_number"):
        parts.append(Target(space_group_number=asked.space_group_number))
    elif target.WhichOneof("symmetry") is None and asked.crystal_system:
        parts.append(Target(crystal_system=asked.crystal_system))
    bounded = {bounds.property for bounds in target.properties}
    parts += [
        Target(properties=[_as_meant(bounds)])
        for bounds in asked.properties
        if bounds.property not in bounded
    ]
    return parts


def _as_meant(bounds: PropertyRange) -> PropertyRange:
    """A range that somebody put into words; a single value is widened, since nothing hits it."""
    if not (bounds.HasField("min") and bounds.HasField("max") and bounds.min == bounds.max):
        return bounds
    value = bounds.min
    room = max(_MEANT_WITHIN * abs(value), _MEANT_WITHIN_AT_LEAST.get(bounds.property, 0.0))
    low = value - room if value < 0 else max(value - room, 0.0)
    return PropertyRange(property=bounds.property, min=round(low, 6), max=round(value + room, 6))


def _completed_budget(budget: CampaignBudget) -> CampaignBudget:
    whole = CampaignBudget()
    whole.CopyFrom(budget)
    if not budget.HasField("max_candidates"):
        whole.max_candidates = DEFAULT_CANDIDATES
    if not budget.HasField("max_wall_time"):
        whole.max_wall_time.seconds = DEFAULT_WALL_TIME_SECONDS
    if not budget.HasField("max_planner_tokens"):
        whole.max_planner_tokens = DEFAULT_PLANNER_TOKENS
    _check_duration("budget.max_wall_time", whole.max_wall_time)
    return whole


def _check_duration(field: str, duration: Duration) -> None:
    seconds, nanos = duration.seconds, duration.nanos
    if seconds < 0 or nanos < 0:
        raise InvalidFieldError(f"{field} is negative", field=field)
    if seconds > _LONGEST_DURATION_SECONDS or nanos >= 10**9:
        raise InvalidFieldError(f"{field}: {seconds} s and {nanos} ns are no duration", field=field)


def _count(field: str, count: int, default: int, most: int) -> int:
    if count > most:
        raise InvalidFieldError(f"{field} is {count:,}; at most {most:,} are taken", field=field)
    return count or default


def _generators(given: Iterable[Generator.ValueType]) -> list[Generator.ValueType]:
    """Each once, in the order given."""
    chosen = list(dict.fromkeys(given))
    for generator in chosen:
        if generator not in Generator.values():
            raise UnknownEnumValueError(f"generators: {generator} is no Generator", field="generators")
        if generator == Generator.GENERATOR_UNSPECIFIED:
            raise InvalidFieldError(
                "generators names GENERATOR_UNSPECIFIED; leave the list empty for all that there are",
                field="generators",
            )
    return chosen


def _check_names(spec: CampaignSpec) -> None:
    names = {
        "catalog": spec.catalog,
        "reference": spec.reference,
        "planner": spec.planner,
        "models.generation": spec.models.generation,
        "models.property": spec.models.property,
        "models.potential": spec.models.potential,
    }
    for field, name in names.items():
        if len(name) > MAX_NAME_CHARACTERS:
            raise InvalidFieldError(
                f"{field} has {len(name):,} characters; at most {MAX_NAME_CHARACTERS} are taken", field=field
            )


def _display_name(spec: CampaignSpec) -> str:
    """The caller's, on one line, else one for the target as far as it is understood."""
    if len(spec.display_name) > MAX_DISPLAY_NAME_CHARACTERS:
        raise InvalidFieldError(
            f"display_name has {len(spec.display_name):,} characters; "
            f"at most {MAX_DISPLAY_NAME_CHARACTERS} are taken",
            field="display_name",
        )
    return " ".join(spec.display_name.split()) or display_name_of(_understood(spec.target))


def _element_phrases(target: Target) -> list[str]:
    exact = reduced_formula_of_text(target.formula) if target.formula else target.chemical_system
    if exact:
        return [exact]
    allowed = {*target.allowed_elements, *target.required_elements} if target.allowed_elements else ()
    return [
        *_listed("with", target.required_elements),
        *_listed("of", allowed),
        *_listed("without", target.forbidden_elements),
    ]


def _listed(word: str, elements: Iterable[int]) -> list[str]:
    symbols = [symbol_of(number) for number in sorted(set(elements))]
    if not symbols:
        return []
    rest = ["…"] if len(symbols) > _SYMBOLS_IN_NAME else []
    return [f"{word} {' '.join([*symbols[:_SYMBOLS_IN_NAME], *rest])}"]


def _symmetry_phrases(target: Target) -> list[str]:
    if target.HasField("space_group_number"):
        return [f"space group {target.space_group_number}"]
    return [crystal_system_of_target(target)] if target.crystal_system else []
