"""Crystals off the wire, read beside the event loop and handed on as they are read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh_common.crystal.inputs import crystal_from_input
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DuplicateIdError,
    EmptyBatchError,
    InvalidRequestError,
    TooManyCrystalsError,
)

# Reading on another thread costs a tenth of a millisecond; a chunk keeps that small beside the reading,
# and the time to the first crystal short.
_CHUNK = 32


def resolve_ids(inputs: Sequence[CrystalInput], *, max_crystals: int) -> list[str]:
    """The id of each input: its own, its crystal's, or its position.

    Raises EmptyBatchError, TooManyCrystalsError or DuplicateIdError; the crystals themselves are not read.
    """
    ids = [item.id or item.crystal.id or str(position) for position, item in enumerate(inputs)]
    check_ids(ids, "crystals", most=max_crystals)
    return ids


def check_ids(ids: Sequence[str], field: str, *, most: int) -> None:
    """Check the ids of the items of a request's field, whose name says in the plural what they are.

    Raises EmptyBatchError, TooManyCrystalsError or DuplicateIdError.
    """
    if not ids:
        raise EmptyBatchError(f"there are no {field} in the request", field=field)
    if len(ids) > most:
        raise TooManyCrystalsError(
            f"{len(ids)} {field} in one call; at most {most} are taken", max_crystals=most
        )
    if len(set(ids)) < len(ids):
        twice = next(item_id for item_id, count in Counter(ids).items() if count > 1)
        raise DuplicateIdError(f"two {field} have the id {twice[:80]!r}", field=field, id=twice)


async def read_inputs(
    inputs: Sequence[CrystalInput], ids: Sequence[str], *, max_atoms: int
) -> AsyncIterator[Crystal | CrystalMeshError]:
    """The crystal of each input, or why it is none, in order."""
    for start in range(0, len(inputs), _CHUNK):
        chunk = range(start, min(start + _CHUNK, len(inputs)))
        for crystal in await asyncio.to_thread(_read_chunk, inputs, ids, chunk, max_atoms):
            yield crystal


def _read_chunk(
    inputs: Sequence[CrystalInput], ids: Sequence[str], positions: range, max_atoms: int
) -> list[Crystal | CrystalMeshError]:
    return [read_input(inputs[position], ids[position], max_atoms=max_atoms) for position in positions]


def read_input(crystal: CrystalInput, crystal_id: str, *, max_atoms: int) -> Crystal | CrystalMeshError:
    """The crystal of one input, or why it is none."""
    try:
        return crystal_from_input(crystal, default_id=crystal_id, max_atoms=max_atoms)
    except InvalidRequestError as error:
        return error
