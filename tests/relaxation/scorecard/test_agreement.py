from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_relaxation.engine import Evaluation
from crystalmesh_relaxation.scorecard.agreement import (
    LabelledFrame,
    check_comparable,
    energy_error_ev_per_atom,
    force_error_ev_per_angstrom,
)
from tests.conftest import iron, silicon, sodium_chloride


def frame_of(crystal: Crystal, energy_ev: float) -> LabelledFrame:
    return LabelledFrame(crystal, energy_ev, np.zeros((len(crystal), 3)))


def said(*energies_ev: float) -> list[Evaluation]:
    return [Evaluation(2, energy, np.zeros((2, 3))) for energy in energies_ev]


def test_another_zero_of_energy_is_no_error() -> None:
    """A potential that shifts each element by an energy of its own agrees with the reference."""
    salts = [frame_of(sodium_chloride(str(k)), energy) for k, energy in enumerate((-1.0, -2.0, -3.0))]
    silicons = [frame_of(silicon(str(k)), energy) for k, energy in enumerate((-5.0, -7.0))]
    shifted = said(-1 + 40, -2 + 40, -3 + 40, -5 - 9, -7 - 9)
    assert energy_error_ev_per_atom([*salts, *silicons], shifted) == pytest.approx(0, abs=1e-9)


def test_two_frames_of_one_composition_are_judged_by_their_difference() -> None:
    """Each by the other: the error is the whole disagreement per atom, not the half that a fit leaves."""
    frames = [frame_of(silicon("a"), -1.0), frame_of(silicon("b"), -2.0)]
    assert energy_error_ev_per_atom(frames, said(-1.0, -2.4)) == pytest.approx(0.2)


def test_a_fit_to_the_others_is_what_each_is_judged_by() -> None:
    """The error equals that of fitting without each frame in turn, done the long way."""
    random = np.random.default_rng(1)
    crystals = [sodium_chloride(), silicon(), replace(silicon(), numbers=np.array([14, 17]))] * 3
    frames = [
        frame_of(crystal, energy) for crystal, energy in zip(crystals, random.normal(size=9), strict=True)
    ]
    evaluations = said(*random.normal(size=9))
    elements = [11, 14, 17]
    fractions = np.array([[np.mean(c.numbers == z) for z in elements] for c in crystals])
    differences = np.array(
        [(e.energy_ev - f.energy_ev) / 2 for f, e in zip(frames, evaluations, strict=True)]
    )
    errors = []
    for left_out in range(9):
        others = np.arange(9) != left_out
        fit = np.linalg.lstsq(fractions[others], differences[others])[0]
        errors.append(abs(differences[left_out] - fractions[left_out] @ fit))
    assert energy_error_ev_per_atom(frames, evaluations) == pytest.approx(np.mean(errors))


def test_a_composition_of_its_own_cannot_be_judged() -> None:
    """Iron beside silicon says nothing of iron's zero, so it is left out; alone, both are refused."""
    pair = [frame_of(silicon("a"), -1.0), frame_of(silicon("b"), -2.0)]
    with_iron = [*pair, frame_of(iron(), -8.0)]
    check_comparable(with_iron)
    assert energy_error_ev_per_atom(with_iron, said(-1.0, -2.4, 1000.0)) == pytest.approx(0.2)
    for frames in ([pair[0]], [pair[0], with_iron[2]]):
        with pytest.raises(InvalidFieldError, match="at least two frames"):
            check_comparable(frames)


def test_force_errors_are_averaged_over_components() -> None:
    """A frame of more atoms weighs more, as each component counts once."""
    frames = [frame_of(silicon("a"), 0.0), frame_of(silicon("b"), 0.0)]
    forces = np.zeros((2, 3))
    forces[0, 0] = -1.2
    evaluations = [Evaluation(2, 0.0, forces), Evaluation(2, 0.0, np.zeros((2, 3)))]
    assert force_error_ev_per_angstrom(frames, evaluations) == pytest.approx(0.1)
