"""What is asked for a prompt, and what a known material is as a start."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError, TooManyAtomsError
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.language.portrait import TOLD_PROPERTIES, Portrait, portrait_of
from crystalmesh_generation.pairs.standard import standard_setting


@dataclass(frozen=True, eq=False)
class KnownMaterial:
    """A material to start from, in its standard setting; `known_material` makes one."""

    crystal: Crystal
    properties: Mapping[str, float]  # by the names in the API

    @cached_property
    def portrait(self) -> Portrait:
        """What can be said of it; about 5 ms the first time."""
        told = {name: value for name, value in self.properties.items() if name in TOLD_PROPERTIES}
        return portrait_of(self.crystal, told)

    @cached_property
    def alx(self) -> str:
        """It as ALX. Raises InvalidCrystalError for a cell that cannot be told."""
        try:
            return write_alx(self.crystal)
        except ValueError as error:
            raise InvalidCrystalError(f"the reference cannot be told to a model: {error}") from None


def known_material(
    crystal: Crystal, properties: Mapping[str, float], *, max_atoms: int | None = None
) -> KnownMaterial:
    """A crystal that passed `check_crystal` as a start.

    Raises TooManyAtomsError where its primitive cell has more than `max_atoms`.
    """
    standard = standard_setting(crystal)
    if max_atoms is not None and len(standard) > max_atoms:
        raise TooManyAtomsError(
            f"the reference has {len(standard)} atoms in its primitive cell; the model reads {max_atoms}",
            atoms=len(standard),
            max_atoms=max_atoms,
        )
    return KnownMaterial(standard, properties)


@dataclass(frozen=True, eq=False)
class Prompt:
    """A condition to make crystals for, checked."""

    id: str
    aim: Aim
    limits: CompositionLimits
    reference: KnownMaterial | None = None
    transition_text: str = ""  # as the caller wrote it


@dataclass(frozen=True)
class Options:
    """How the crystals of a request are made."""

    model: str  # that writes, or says what substituted crystals are like; empty: none
    writes: bool  # the language model makes proposals
    substitutes: bool  # so does ionic substitution
    seed: int = 0
    temperature: float | None = None  # None: the model's own
    top_p: float = 1.0
    constrained: bool = True
    min_distance_angstrom: float = 0.0
    symmetrize_within_angstrom: float = 0.0  # 0: leave crystals as they are
    draws_references: bool = True
    with_transition: bool = True
    known: Collection[Composition] = frozenset()  # formulas that the caller has enough of


@dataclass(frozen=True, eq=False)
class Request:
    """One prompt with how its crystals are made."""

    prompt: Prompt
    options: Options
