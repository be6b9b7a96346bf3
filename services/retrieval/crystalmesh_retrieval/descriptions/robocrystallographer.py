"""RoboCrystallographer, which the paper's towers read: an alternative to our own describer."""

from __future__ import annotations

import importlib
import re
from typing import Any

from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    ModelFailedError,
    ModelNotFoundError,
    UnsupportedQuantityError,
)

# How numpy 2 prints the numbers in the direction of a layer.
_NUMPY_INTEGER = re.compile(r"np\.int64\((-?\d+)\)")


class RoboCrystallographer:
    """Sentences by RoboCrystallographer (Ganose and Jain, MRS Commun. 9, 874, 2019), 3 s a crystal.

    They depend on its version, and on the choice of cell in their order and their numbering of sites.
    """

    def __init__(self) -> None:
        """Raises `ModelNotFoundError` where it is not installed."""
        try:
            robocrys = importlib.import_module("robocrys")  # ten seconds, and an optional extra
        except ImportError as error:
            raise ModelNotFoundError(
                f"RoboCrystallographer is not installed ({error.msg}): "
                "pip install 'crystalmesh-retrieval[robocrys]'"
            ) from error
        self._condenser: Any = robocrys.StructureCondenser()
        self._describer: Any = robocrys.StructureDescriber()

    def describe(self, crystal: Crystal, *, formula: bool = True) -> str:
        """Its text; elements are in every sentence, so that without formula there is none.

        Raises `UnsupportedQuantityError` then, and `ModelFailedError` where it fails on a crystal.
        """
        if not formula:
            raise UnsupportedQuantityError("RoboCrystallographer cannot leave the elements out")
        try:
            condensed = self._condenser.condense_structure(to_structure(crystal))
            text = str(self._describer.describe(condensed))
        except Exception as error:  # whatever it raises on an odd structure
            raise ModelFailedError(
                f"RoboCrystallographer failed: {type(error).__name__}: {str(error)[:200]}"
            ) from error
        return _NUMPY_INTEGER.sub(r"\1", text)
