"""The describers by name, and what each of them does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from crystalmesh_common.crystal.description import describe_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import ModelNotFoundError
from crystalmesh_retrieval.descriptions.robocrystallographer import RoboCrystallographer

DEFAULT_DESCRIBER = "crystalmesh"


class Describer(Protocol):
    """Puts structures into words. Texts of two describers do not mix: an encoder has learnt to read one."""

    def describe(self, crystal: Crystal, *, formula: bool = True) -> str:
        """The text of a crystal that passed `check_crystal`, without formula and elements when asked.

        Raises `CrystalMeshError` where there is none for this crystal.
        """
        ...


class OwnDescriber:
    """Our own sentences, 200 crystals a second on one core."""

    def describe(self, crystal: Crystal, *, formula: bool = True) -> str:
        return describe_structure(crystal, formula=formula)


_DESCRIBERS: Mapping[str, Callable[[], Describer]] = {
    DEFAULT_DESCRIBER: OwnDescriber,
    "robocrys": RoboCrystallographer,
}


def describer(name: str = DEFAULT_DESCRIBER) -> Describer:
    """The describer of this name, ready to use.

    Raises `ModelNotFoundError` for a name that is none and for one whose library is not installed.
    """
    if name not in _DESCRIBERS:
        raise ModelNotFoundError(f"no describer {name[:80]!r}; there are {', '.join(_DESCRIBERS)}")
    return _DESCRIBERS[name]()
