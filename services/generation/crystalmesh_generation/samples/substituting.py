"""Proposals by ionic substitution for a sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, NoSubstitutionError
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.samples.asked import KnownMaterial
from crystalmesh_generation.samples.proposals import Author, Origin, SubstitutedBy, Told
from crystalmesh_generation.substitution.elements import ElementTable
from crystalmesh_generation.substitution.substituting import Substituted, propose, transition_text

_DRAWS = 16
"""References that may fail before it is said that no more will do."""


@dataclass(frozen=True, eq=False)
class SubstitutedCrystal:
    """A crystal made from a reference."""

    crystal: Crystal
    alx_text: str  # empty for a cell that ALX has no numbers for
    origin: Origin
    transition: Told


def substituted(
    reference: KnownMaterial, limits: CompositionLimits, table: ElementTable, *, seed: int, count: int
) -> list[SubstitutedCrystal]:
    """At most `count` crystals made from a reference, at least one.

    Raises NoSubstitutionError where it admits none.
    """
    proposed = propose(reference.crystal, limits, table, seed=seed, count=count)
    return [_told(one, reference, table) for one in proposed]


def substituted_each(
    references: Iterator[KnownMaterial],
    limits: CompositionLimits,
    table: ElementTable,
    *,
    seed: int,
    count: int,
) -> list[SubstitutedCrystal]:
    """The same from several references, one crystal each of the first `count` that admit any.

    Where none does, raises what the last says: NoSubstitutionError, or why it cannot be compared.
    """
    failed: CrystalMeshError = NoSubstitutionError("there is no reference to replace elements of")
    made: list[SubstitutedCrystal] = []
    for number, reference in enumerate(islice(references, count + _DRAWS)):
        try:
            made += substituted(reference, limits, table, seed=(seed + number) % 2**64, count=1)
        except CrystalMeshError as error:
            failed = error
        if len(made) == count:
            break
    if not made:
        raise failed
    return made


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
