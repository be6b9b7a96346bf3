"""Proposals by ionic substitution for a sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.limits import CompositionLimits
from crystalmesh_generation.samples.asked import KnownMaterial
from crystalmesh_generation.samples.proposals import Author, Origin, SubstitutedBy, Told
from crystalmesh_generation.substitution.choosing import NoSubstitutionError
from crystalmesh_generation.substitution.elements import ElementTable
from crystalmesh_generation.substitution.substituting import Substituted, propose, transition_text

_DRAWS = 16
"""References that are tried before it is said that none will do."""


@dataclass(frozen=True, eq=False)
class SubstitutedCrystal:
    """A crystal made from a reference."""

    crystal: Crystal
    alx_text: str  # empty for a cell that ALX has no numbers for
    origin: Origin
    transition: Told


def substituted(
    references: Iterator[KnownMaterial],
    limits: CompositionLimits,
    table: ElementTable,
    *,
    seed: int,
    count: int,
) -> list[SubstitutedCrystal]:
    """At most `count` crystals from the first of some references that admits any, at least one.

    Raises NoSubstitutionError where none of them does, what the last says.
    """
    failed = NoSubstitutionError("there is no reference to replace elements of")
    for reference in islice(references, _DRAWS):
        try:
            proposed = propose(reference.crystal, limits, table, seed=seed, count=count)
        except NoSubstitutionError as error:
            failed = error
            continue
        return [_told(one, reference, table) for one in proposed]
    raise failed


def _told(one: Substituted, reference: KnownMaterial, table: ElementTable) -> SubstitutedCrystal:
    by = SubstitutedBy(one.substitutions, table.version, one.probability)
    text = transition_text(one, reference.crystal)
    name = reference.crystal.id
    try:
        alx = write_alx(one.crystal)
    except ValueError:
        alx = ""
    return SubstitutedCrystal(
        one.crystal, alx, Origin(by, name, one.seed), Told(text, Author.SUBSTITUTION, name)
    )
