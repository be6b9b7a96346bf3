"""All that a planner can choose from: starting points, generators, edits, temperatures."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crystalmesh.agent.v1.campaign_event_pb2 import PlannedBatch
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.planning.planner import Situation, StartingPoint
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, symbol_of
from crystalmesh_common.runtime.errors import InvalidFieldError

TEMPERATURES = (0.7, 0.9, 1.1)
"""Of language models. None is 0, where every sample would be the same."""

_FIRST_CANDIDATES_A_BATCH = 2
_CANDIDATES_A_BATCH = 3
_MOST_BATCHES = 8


@dataclass(frozen=True)
class Choice:
    """One way to make candidates."""

    point: StartingPoint | None  # None: from nothing that is known
    generator: Generator.ValueType
    temperature: float | None  # None: no language model is used
    edit: str  # "": left to the generator

    def batch(self, candidates: int) -> PlannedBatch:
        """So many candidates made in this way."""
        return PlannedBatch(
            starting_material=None if self.point is None else self.point.material,
            generator=self.generator,
            temperature=self.temperature,
            candidate_count=candidates,
            edit=self.edit,
        )


def choices(situation: Situation) -> Iterator[Choice]:
    """All ways to make candidates, in an order that depends on the situation alone.

    Raises InvalidFieldError where none of the spec's generators is served.
    """
    generators = usable_generators(situation)
    for point in situation.starting_points or (None,):
        edits = edits_of(point, situation.spec.target)
        for generator in generators:
            for temperature in temperatures_of(generator):
                for edit in edits:
                    yield Choice(point, generator, temperature, edit)


def usable_generators(situation: Situation) -> Sequence[Generator.ValueType]:
    """The served generators that the spec admits; raises InvalidFieldError where there is none."""
    admitted = situation.spec.generators
    usable = [each for each in dict.fromkeys(situation.generators) if not admitted or each in admitted]
    if not usable:
        raise InvalidFieldError("none of the generators that the spec admits is served", field="generators")
    return usable


def temperatures_of(generator: Generator.ValueType) -> Sequence[float | None]:
    """The temperatures to choose from; None where no language model is used."""
    return (None,) if generator == Generator.GENERATOR_IONIC_SUBSTITUTION else TEMPERATURES


def edits_of(point: StartingPoint | None, target: Target) -> Sequence[str]:
    """The edits to choose from: none, or to replace an element that the target admits without requiring it.

    Elements that the target excludes go by themselves, and of an exact composition none can go.
    """
    if point is None:
        return ("",)
    admitted = admitted_elements(target)
    required = required_elements(target)
    loose = [
        element
        for element in sorted(point.elements - required - frozenset(target.forbidden_elements))
        if admitted is None or (element in admitted and admitted - {element})
    ]
    return ("", *(f"replace {symbol_of(element)}" for element in loose))


def required_elements(target: Target) -> frozenset[int]:
    """The elements that a target asks for in any of its parts."""
    system = target.chemical_system.split("-") if target.chemical_system else []
    symbols = [*system, *re.findall(r"[A-Z][a-z]?", target.formula)]
    named = (ATOMIC_NUMBERS[symbol] for symbol in symbols if symbol in ATOMIC_NUMBERS)
    return frozenset(target.required_elements) | frozenset(named)


def admitted_elements(target: Target) -> frozenset[int] | None:
    """The elements that crystals may have; None: any that is not forbidden."""
    required = required_elements(target)
    if target.formula or target.chemical_system:
        return required
    if not target.allowed_elements:
        return None
    return (frozenset(target.allowed_elements) | required) - frozenset(target.forbidden_elements)


def shares(situation: Situation) -> Sequence[int]:
    """How many candidates each batch of the round has: few at first, to try more."""
    wanted = situation.candidates_wanted
    each = _CANDIDATES_A_BATCH if situation.trials else _FIRST_CANDIDATES_A_BATCH
    batches = min(_MOST_BATCHES, -(-wanted // each))
    return [wanted // batches + (place < wanted % batches) for place in range(batches)]


def batches_of(chosen: Sequence[Choice], counts: Sequence[int]) -> Sequence[PlannedBatch]:
    """One batch for each different choice, with the counts of all that fell to it."""
    together: dict[bytes, PlannedBatch] = {}
    for choice, count in zip(chosen, counts, strict=True):
        key = choice.batch(0).SerializeToString(deterministic=True)
        together.setdefault(key, choice.batch(0)).candidate_count += count
    return list(together.values())


def draws(situation: Situation, planner: str) -> random.Random:
    """Numbers that depend on seed, round and planner alone."""
    return random.Random(f"{planner} {situation.spec.seed} {situation.round}")  # noqa: S311 -- no secret


def summary(batches: Sequence[PlannedBatch]) -> str:
    """A plan in a sentence."""
    if not batches:
        return "Nothing is made."
    total = sum(batch.candidate_count for batch in batches)
    points = {
        (batch.starting_material.catalog, batch.starting_material.material_id)
        for batch in batches
        if batch.HasField("starting_material")
    }
    of_generator: dict[str, int] = {}
    for batch in batches:
        name = generator_name(batch.generator).replace("_", " ")
        of_generator[name] = of_generator.get(name, 0) + batch.candidate_count
    start = f"from {_counted(len(points), 'starting point')}" if points else "without starting points"
    by = ", ".join(f"{count} by {name}" for name, count in sorted(of_generator.items()))
    edited = sum(batch.candidate_count for batch in batches if batch.edit)
    edits = f", {edited} with an element replaced" if edited else ""
    parts = f"{_counted(total, 'candidate')} in {_counted(len(batches), 'batch', 'batches')}"
    return f"{parts} {start}: {by}{edits}."


def generator_name(generator: Generator.ValueType) -> str:
    """A generator in small letters: "ionic_substitution"."""
    if not generator:
        return "default_generator"
    return Generator.Name(generator).removeprefix("GENERATOR_").lower()


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
