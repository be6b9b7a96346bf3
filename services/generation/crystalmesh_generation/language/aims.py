"""What is asked for, as the language model is told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.description.property_text import Range


@dataclass(frozen=True)
class Aim:
    """The parts of a target; every one is optional, and nothing asked is anything goes."""

    formula: Composition = ()  # the exact composition, up to a common factor
    elements: frozenset[int] = frozenset()  # exactly these
    required: frozenset[int] = frozenset()
    allowed: frozenset[int] = frozenset()  # empty: any
    forbidden: frozenset[int] = frozenset()
    space_group_number: int | None = None
    crystal_system: str = ""  # "cubic"
    ranges: Mapping[str, Range] = field(default_factory=dict)  # by the names of properties in the API
    text: str = ""  # the scientist's own words
