"""Which candidates of a call are the same structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crystalmesh.crystal.v1.crystal_pb2 import Crystal as CrystalMessage
from crystalmesh_common.runtime.errors import CrystalMeshError

if TYPE_CHECKING:
    from crystalmesh_common.crystal.matching import StructureIndex


class Duplicates:
    """The distinct crystals of one call so far. For one thread at a time."""

    def __init__(self) -> None:
        self._index: StructureIndex | None = None
        self._ids: list[str] = []

    def first_of(self, message: CrystalMessage) -> str:
        """The id of the earlier crystal that this one is; empty where it is the first of its kind.

        A crystal that cannot be compared (atoms at one place, a needle of a cell) is like no other. Takes
        milliseconds for each earlier crystal of its formula, so it is not for an event loop.
        """
        from crystalmesh_common.crystal.matching import StructureIndex  # noqa: PLC0415 -- half a second
        from crystalmesh_common.crystal.protobuf import crystal_from_proto  # noqa: PLC0415 -- likewise
        from crystalmesh_common.crystal.validity import check_crystal  # noqa: PLC0415 -- likewise

        if self._index is None:
            self._index = StructureIndex()
        try:
            crystal = crystal_from_proto(message)
            check_crystal(crystal, max_atoms=len(crystal))
            position = self._index.add(crystal)
        except CrystalMeshError:
            return ""
        if position < len(self._ids):
            return self._ids[position]
        self._ids.append(message.id)
        return ""
