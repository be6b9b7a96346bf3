"""CHGNet, the default potential: its wheel carries its weights."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from chgnet import PredTask
from chgnet.graph.crystalgraph import CrystalGraph

from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    IsolatedAtomError,
    ModelFailedError,
)
from crystalmesh_relaxation.engine import Evaluation, Quantity
from crystalmesh_relaxation.engines.chgnet_info import NAME, check_elements, chgnet_info
from crystalmesh_relaxation.engines.chgnet_weights import load_chgnet, memory_errors_typed


class CHGNetPotential:
    """CHGNet 0.3.0 as its wheel brings it."""

    def __init__(self, device: str = "cpu") -> None:
        # torch deprecates what CHGNet does with the volume; the number is right. For the whole process,
        # because filters around each call would not be safe between threads.
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
        self._model = load_chgnet(device)
        self.info = chgnet_info(device)

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> Sequence[Evaluation | CrystalMeshError]:
        outcomes: list[Evaluation | CrystalMeshError | None] = [None] * len(crystals)
        graphs: dict[int, CrystalGraph] = {}
        for position, crystal in enumerate(crystals):
            try:
                graphs[position] = self._graph(crystal)
            except CrystalMeshError as error:
                outcomes[position] = error
        predictions = self._predict(list(graphs.values()), _task(quantities))
        for position, prediction in zip(graphs, predictions, strict=True):
            outcomes[position] = _evaluation(prediction, len(crystals[position]), quantities)
        return [outcome for outcome in outcomes if outcome is not None]

    def _graph(self, crystal: Crystal) -> CrystalGraph:
        check_elements(crystal)
        try:
            graph: CrystalGraph = self._model.graph_converter(to_structure(crystal))
        except ValueError as error:
            if "isolated atom" in str(error):
                raise IsolatedAtomError(f"an atom has no neighbour within {NAME}'s 6 Å") from None
            raise
        return graph

    def _predict(self, graphs: list[CrystalGraph], task: PredTask) -> list[dict[str, Any]]:
        if not graphs:
            return []
        with memory_errors_typed():
            predictions = self._model.predict_graph(graphs, task=task, batch_size=len(graphs))
        return [predictions] if isinstance(predictions, dict) else predictions


def _task(quantities: frozenset[Quantity]) -> PredTask:
    """CHGNet's name for the cheapest computation that gives what is asked."""
    if Quantity.STRESS in quantities:
        return "efsm" if Quantity.MAGNETIC_MOMENTS in quantities else "efs"
    if Quantity.FORCES in quantities:
        return "efsm" if Quantity.MAGNETIC_MOMENTS in quantities else "ef"
    return "em" if Quantity.MAGNETIC_MOMENTS in quantities else "e"


def _evaluation(
    prediction: dict[str, Any], n_atoms: int, quantities: frozenset[Quantity]
) -> Evaluation | CrystalMeshError:
    energy = float(prediction["e"]) * n_atoms
    arrays = {
        quantity: np.asarray(prediction[key], dtype=np.float64)
        for quantity, key in (
            (Quantity.FORCES, "f"),
            (Quantity.STRESS, "s"),
            (Quantity.MAGNETIC_MOMENTS, "m"),
        )
        if quantity in quantities
    }
    evaluation = Evaluation(
        n_atoms,
        energy,
        forces_ev_per_angstrom=arrays.get(Quantity.FORCES),
        stress_gpa=arrays.get(Quantity.STRESS),
        magnetic_moments_mu_b=arrays.get(Quantity.MAGNETIC_MOMENTS),
    )
    if evaluation.is_finite:
        return evaluation
    return ModelFailedError(f"{NAME} gave a number that is not finite for this crystal")
