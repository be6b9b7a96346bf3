"""Other ways to write the same crystal, drawn for a reference and its target alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_generation.training.experiment import LessonConfig

_AXES = list(permutations(range(3)))


@dataclass(frozen=True, eq=False)
class Setting:
    """A choice of origin, axes and order of sites. The same for two crystals keeps them alike."""

    shift: FloatArray  # (3,), in fractions
    axes: tuple[int, ...]
    order: IntArray  # (n,)

    def of(self, crystal: Crystal) -> Crystal:
        """The crystal in this setting; it has as many atoms as `order`."""
        axes = list(self.axes)
        coords = np.mod(crystal.frac_coords + self.shift, 1.0)
        return replace(
            crystal,
            cell=crystal.cell[axes],
            frac_coords=coords[self.order][:, axes],
            numbers=crystal.numbers[self.order],
        )


def draw_setting(atoms: int, lessons: LessonConfig, random: np.random.Generator) -> Setting:
    """A setting for crystals of so many atoms; often the one that they have.

    An odd permutation of axes turns right-handed coordinates into left-handed ones. Lengths, angles and
    fractional coordinates, which are all that ALX has, are then those of the mirror image, which has the same
    energy and gap.
    """
    shift = random.random(3) if random.random() < lessons.translated else np.zeros(3)
    axes = _AXES[random.integers(len(_AXES))] if random.random() < lessons.turned else _AXES[0]
    permuted = random.random() < lessons.permuted
    order = random.permutation(atoms) if permuted else np.arange(atoms)
    return Setting(shift, axes, order)
