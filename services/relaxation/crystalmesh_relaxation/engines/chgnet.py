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
from crystalmesh_common.runtime.devices import memory_errors_typed
from crystalmesh_common.runtime.errors import CrystalMeshError, IsolatedAtomError
from crystalmesh_relaxation.engine import Evaluation, Quantity
from crystalmesh_relaxation.engines.chgnet_info import CHGNET_0_3_0, Release, chgnet_info
from crystalmesh_relaxation.engines.chgnet_weights import load_chgnet
from crystalmesh_relaxation.engines.outcomes import (
    check_elements,
    evaluate_together,
    finite,
)


class CHGNetPotential:
    """A release of CHGNet as its wheel brings it."""

    def __init__(self, device: str = "cpu", release: Release = CHGNET_0_3_0) -> None:
        # torch deprecates what CHGNet does with the volume; the number is right. For the whole process,
        # because filters around each call would not be safe between threads.
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
        self._model = load_chgnet(device, release)
        self.info = chgnet_info(device, release)

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> Sequence[Evaluation | CrystalMeshError]:
        def predict(graphs: list[CrystalGraph]) -> list[Evaluation | CrystalMeshError]:
            with memory_errors_typed():
                predictions = self._model.predict_graph(
                    graphs, task=_task(quantities), batch_size=len(graphs)
                )
            if isinstance(predictions, dict):
                predictions = [predictions]
            return [
                finite(_evaluation(prediction, len(graph.atomic_number), quantities), self.info.name)
                for graph, prediction in zip(graphs, predictions, strict=True)
            ]

        return evaluate_together(crystals, self._graph, predict)

    def _graph(self, crystal: Crystal) -> CrystalGraph:
        check_elements(crystal, self.info)
        try:
            graph: CrystalGraph = self._model.graph_converter(to_structure(crystal))
        except ValueError as error:
            if "isolated atom" in str(error):
                raise IsolatedAtomError(f"an atom has no neighbour within {self.info.name}'s 6 Å") from None
            raise
        return graph


def _task(quantities: frozenset[Quantity]) -> PredTask:
    """CHGNet's name for the cheapest computation that gives what is asked."""
    if Quantity.STRESS in quantities:
        return "efsm" if Quantity.MAGNETIC_MOMENTS in quantities else "efs"
    if Quantity.FORCES in quantities:
        return "efsm" if Quantity.MAGNETIC_MOMENTS in quantities else "ef"
    return "em" if Quantity.MAGNETIC_MOMENTS in quantities else "e"


def _evaluation(prediction: dict[str, Any], n_atoms: int, quantities: frozenset[Quantity]) -> Evaluation:
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
    return Evaluation(
        n_atoms,
        energy,
        forces_ev_per_angstrom=arrays.get(Quantity.FORCES),
        stress_gpa=arrays.get(Quantity.STRESS),
        magnetic_moments_mu_b=arrays.get(Quantity.MAGNETIC_MOMENTS),
    )
