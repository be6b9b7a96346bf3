"""Crystals as models send and get them: CIF text of bounded size."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import crystal_from_cif, crystal_to_cif
from crystalmesh_common.runtime.errors import CrystalMeshError

MAX_CIF_CHARACTERS = 100_000
MAX_ATOMS = 2000

Cif = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_CIF_CHARACTERS,
        description=f"One ordered crystal of at most {MAX_ATOMS:,} atoms as the whole text of a CIF.",
    ),
]
OptionalCif = Annotated[str, Field(max_length=MAX_CIF_CHARACTERS)]
"""The same where it may be left out; whoever uses it describes it."""


def read_cif(text: str, name: str = "crystal") -> Crystal:
    """The crystal of a text under our own name; raises what is wrong with it."""
    # The name of a data block is anybody's text, and might be of any length.
    return crystal_from_cif(text, id=name, max_atoms=MAX_ATOMS)


async def crystal_of(text: str) -> Crystal:
    """The crystal of a text, read off the event loop; raises what is wrong with it."""
    return await asyncio.to_thread(read_cif, text)


async def crystals_of(texts: Sequence[str]) -> tuple[list[Crystal], dict[int, CrystalMeshError]]:
    """The crystals of texts, each named after its position; and what is wrong with the others."""
    return await asyncio.to_thread(_read_all, texts)


def _read_all(texts: Sequence[str]) -> tuple[list[Crystal], dict[int, CrystalMeshError]]:
    crystals: list[Crystal] = []
    unreadable: dict[int, CrystalMeshError] = {}
    for position, text in enumerate(texts):
        try:
            crystals.append(read_cif(text, str(position)))
        except CrystalMeshError as error:
            unreadable[position] = error
    return crystals, unreadable


def cif_of(crystal: Crystal) -> str:
    """The crystal as text, every site as it is, named after its formula."""
    return crystal_to_cif(replace(crystal, id=reduced_formula(crystal)))


def finite(value: float | None, digits: int = 6) -> float | None:
    """The value without digits that mean nothing; None for one that JSON does not have."""
    return None if value is None or not math.isfinite(value) else round(value, digits) + 0.0  # no -0
