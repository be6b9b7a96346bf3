"""The forms in which callers have crystals."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh_client.batches import Item
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import DuplicateIdError, InvalidCrystalError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.structure import IStructure

    CrystalLike = Crystal | IStructure | Atoms | Path
else:
    CrystalLike = Any


def to_crystal(given: CrystalLike) -> Crystal:
    """The crystal of a Crystal, a pymatgen Structure, ASE Atoms, or a path to a file with one of them."""
    if isinstance(given, Crystal):
        return given
    if isinstance(given, Path):
        return _only(given)
    if _is_a(given, "pymatgen.core.structure", "IStructure"):
        from crystalmesh_common.crystal.pymatgen_codec import from_structure  # noqa: PLC0415 -- heavy

        return from_structure(cast("IStructure", given))
    if _is_a(given, "ase", "Atoms"):
        from crystalmesh_common.crystal.ase_codec import from_atoms  # noqa: PLC0415 -- heavy

        return from_atoms(cast("Atoms", given))
    raise InvalidCrystalError(
        f"a crystal must be a Crystal, a pymatgen Structure, ASE Atoms or a Path, not {type(given).__name__}"
    )


def is_crystal(given: object) -> bool:
    """Whether `to_crystal` reads it: one crystal, and not several, though a Structure has a length."""
    return (
        isinstance(given, Crystal | Path)
        or _is_a(given, "pymatgen.core.structure", "IStructure")
        or _is_a(given, "ase", "Atoms")
    )


def to_crystals(given: Iterable[CrystalLike]) -> list[Crystal]:
    """All crystals, each with an id: its own, or its position. DuplicateIdError when two share one."""
    return distinct(_named(given))


def distinct(items: Iterable[Item], what: str = "crystals") -> list[Item]:
    """The items of a list in which no two have the same id; DuplicateIdError when two do."""
    seen: dict[str, Item] = {}
    for item in items:
        if item.id in seen:
            raise DuplicateIdError(f"two {what} have the id {item.id!r}", id=item.id)
        seen[item.id] = item
    return list(seen.values())


def to_inputs(crystals: Iterable[Crystal]) -> list[CrystalInput]:
    """The crystals as requests bring them."""
    return [CrystalInput(id=crystal.id, crystal=crystal_to_proto(crystal)) for crystal in crystals]


def _named(given: Iterable[CrystalLike]) -> Iterator[Crystal]:
    for position, item in enumerate(given):
        crystal = to_crystal(item)
        yield crystal if crystal.id else replace(crystal, id=str(position))


def _only(path: Path) -> Crystal:
    from crystalmesh_common.crystal.files import read_crystals  # noqa: PLC0415 -- heavy

    crystals = list(read_crystals(path))
    if len(crystals) != 1:
        raise InvalidCrystalError(f"{path} holds {len(crystals)} crystals; read them with read_crystals")
    return crystals[0]


def _is_a(given: object, module: str, name: str) -> bool:
    """Whether it is of that class. Whoever holds one has loaded its library; nobody else has to."""
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(given, cls)
