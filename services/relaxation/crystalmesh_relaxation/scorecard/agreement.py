"""How well a potential agrees with the labels of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_relaxation.engine import Evaluation

_OWN_SHARE = 1 - 1e-6
"""A frame that decides its own fit to this degree is judged by nothing else."""


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A crystal of n atoms with what a reference method says of it."""

    crystal: Crystal
    energy_ev: float  # of the cell
    forces_ev_per_angstrom: FloatArray  # (n, 3)


def check_comparable(frames: Sequence[LabelledFrame]) -> None:
    """Raise InvalidFieldError unless some frame's energy can be judged by the others."""
    if not _judged(_own_shares(frames)).any():
        raise InvalidFieldError(
            "no frame's energy can be compared, because each has a composition that the others do not span: "
            "send at least two frames of one composition, or more frames than there are elements",
            field="frames",
        )


def energy_error_ev_per_atom(frames: Sequence[LabelledFrame], evaluations: Sequence[Evaluation]) -> float:
    """The mean absolute error per atom once the references of the elements agree.

    Each frame is judged by element energies that were fitted to all others, so that a fit to few frames does
    not flatter. Frames as `check_comparable` wants them.
    """
    differences = np.array(
        [
            (evaluation.energy_ev - frame.energy_ev) / len(frame.crystal)
            for frame, evaluation in zip(frames, evaluations, strict=True)
        ]
    )
    fractions = _fractions(frames)
    element_energies = np.linalg.pinv(fractions) @ differences
    residuals = np.abs(differences - fractions @ element_energies)
    own_shares = _own_shares(frames)
    judged = _judged(own_shares)
    return float((residuals[judged] / (1 - own_shares[judged])).mean())


def force_error_ev_per_angstrom(frames: Sequence[LabelledFrame], evaluations: Sequence[Evaluation]) -> float:
    """The mean absolute error over all components of all atoms."""
    errors = [
        np.abs(evaluation.forces_ev_per_angstrom - frame.forces_ev_per_angstrom).ravel()
        for frame, evaluation in zip(frames, evaluations, strict=True)
        if evaluation.forces_ev_per_angstrom is not None
    ]
    return float(np.concatenate(errors).mean())


def _fractions(frames: Sequence[LabelledFrame]) -> FloatArray:
    """The share of each element in each frame, (frames, elements)."""
    elements = np.unique(np.concatenate([frame.crystal.numbers for frame in frames]))
    shares: FloatArray = np.array(
        [(frame.crystal.numbers[:, None] == elements).mean(axis=0) for frame in frames]
    )
    return shares


def _own_shares(frames: Sequence[LabelledFrame]) -> FloatArray:
    """How far each frame decides what the fit says of it, 0 to 1: the diagonal of the hat matrix."""
    fractions = _fractions(frames)
    shares: FloatArray = np.einsum("fe,ef->f", fractions, np.linalg.pinv(fractions))
    return shares


def _judged(own_shares: FloatArray) -> np.ndarray:
    return own_shares < _OWN_SHARE
