"""The energies that relaxations ended at: what was relaxed is scored next, as a rule."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

import numpy as np

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.engine import Evaluation

_KEPT = 4096


class RecentEnergies:
    """By potential and crystal, to the last bit; the oldest go first. For one thread."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._energies: OrderedDict[bytes, float] = OrderedDict()

    def remember(self, model: str, crystal: Crystal, energy_ev: float) -> None:
        """Keep the energy of a crystal's cell."""
        key = _key(model, crystal)
        self._energies[key] = energy_ev
        self._energies.move_to_end(key)
        if len(self._energies) > self._kept:
            self._energies.popitem(last=False)

    def evaluation(self, model: str, crystal: Crystal) -> Evaluation | None:
        """The energy of a crystal where it is known still."""
        energy = self._energies.get(_key(model, crystal))
        return None if energy is None else Evaluation(len(crystal), energy)


def _key(model: str, crystal: Crystal) -> bytes:
    digest = blake2b(model.encode(), digest_size=16)
    for array, kind in (
        (crystal.cell, np.float64),
        (crystal.frac_coords, np.float64),
        (crystal.numbers, np.int64),
    ):
        digest.update(np.ascontiguousarray(array, dtype=kind).tobytes())
    return digest.digest()
