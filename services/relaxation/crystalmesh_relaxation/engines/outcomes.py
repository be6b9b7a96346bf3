"""What every backend does with crystals that it cannot evaluate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    ModelFailedError,
    UnsupportedElementError,
)
from crystalmesh_relaxation.engine import Evaluation, PotentialInfo

Outcome = Evaluation | CrystalMeshError
Prepared = TypeVar("Prepared")


def evaluate_together(
    crystals: Sequence[Crystal],
    prepare: Callable[[Crystal], Prepared],
    evaluate: Callable[[list[Prepared]], Sequence[Outcome]],
) -> list[Outcome]:
    """One outcome per crystal, in order: what `prepare` raised, or what `evaluate` made of the rest.

    `evaluate` gets all that could be prepared as one batch, and is not called without any.
    """
    outcomes: dict[int, Outcome] = {}
    prepared: dict[int, Prepared] = {}
    for position, crystal in enumerate(crystals):
        try:
            prepared[position] = prepare(crystal)
        except CrystalMeshError as error:
            outcomes[position] = error
    if prepared:
        outcomes.update(zip(prepared, evaluate(list(prepared.values())), strict=True))
    return [outcomes[position] for position in range(len(crystals))]


def check_elements(crystal: Crystal, info: PotentialInfo) -> None:
    """Raise UnsupportedElementError unless the potential was trained on every element of the crystal."""
    unknown = sorted(set(crystal.numbers.tolist()).difference(info.atomic_numbers))
    if unknown:
        raise UnsupportedElementError(
            f"{info.name} was not trained on atomic number {', '.join(map(str, unknown))}", elements=unknown
        )


def finite(evaluation: Evaluation, name: str) -> Outcome:
    """The evaluation, or the failure of the potential `name` if one of its numbers is none."""
    if evaluation.is_finite:
        return evaluation
    return ModelFailedError(f"{name} gave a number that is not finite for this crystal")
