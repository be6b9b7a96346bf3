"""Crystals of a campaign that others are compared with."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from crystalmesh.crystal.v1 import crystal_pb2
from crystalmesh_common.crystal.matching import StructureIndex
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalError


class KnownStructures:
    """Distinct structures by the ids of the candidates that had them first. For one task at a time."""

    def __init__(self) -> None:
        self._index = StructureIndex()
        self._first: dict[int, str] = {}  # by position in the index

    async def add(self, candidate_id: str, crystal: Crystal) -> str:
        """The candidate that had this structure first; empty when it is this one, or cannot be compared."""
        try:
            position = await asyncio.to_thread(self._index.add, crystal)
        except CrystalError:  # too large or too flat to be compared in reasonable time
            return ""
        first = self._first.setdefault(position, candidate_id)
        return "" if first == candidate_id else first


def crystal_of(message: crystal_pb2.Crystal, candidate_id: str) -> Crystal:
    """The crystal of a candidate, by the candidate's id."""
    return replace(crystal_from_proto(message), id=candidate_id)
