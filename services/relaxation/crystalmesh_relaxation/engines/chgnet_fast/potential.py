"""CHGNet's weights in the fast network, as a potential."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.devices import memory_errors_typed
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_relaxation.engine import Evaluation, Quantity
from crystalmesh_relaxation.engines.chgnet_fast.graph import CrystalGraph, build_graph, collate
from crystalmesh_relaxation.engines.chgnet_fast.network import FastNetwork, NetworkOutput
from crystalmesh_relaxation.engines.chgnet_info import CHGNET_0_3_0, Release, chgnet_info
from crystalmesh_relaxation.engines.chgnet_weights import load_chgnet
from crystalmesh_relaxation.engines.outcomes import (
    check_elements,
    evaluate_together,
    finite,
)


class FastCHGNetPotential:
    """A release of CHGNet to within its own rounding, four to five times as fast, faster still in batches."""

    def __init__(self, device: str = "cpu", release: Release = CHGNET_0_3_0) -> None:
        model = load_chgnet(device, release)
        self._network = FastNetwork(model)
        composition = cast("Any", model.composition_model)
        # Energy of an atom of each element apart from all interaction, (94,).
        self._site_energies: FloatArray = composition.fc.weight.detach().cpu().double().numpy().ravel()
        self._device = device
        self.info = chgnet_info(device, release)

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> Sequence[Evaluation | CrystalMeshError]:
        def run(graphs: list[CrystalGraph]) -> list[Evaluation | CrystalMeshError]:
            with memory_errors_typed():
                output = self._network(
                    collate(graphs, self._device),
                    forces=Quantity.FORCES in quantities,
                    stress=Quantity.STRESS in quantities,
                )
            return self._split(graphs, output, quantities)

        return evaluate_together(crystals, self._graph, run)

    def _graph(self, crystal: Crystal) -> CrystalGraph:
        check_elements(crystal, self.info)
        return build_graph(crystal)

    def _split(
        self, graphs: list[CrystalGraph], output: NetworkOutput, quantities: frozenset[Quantity]
    ) -> list[Evaluation | CrystalMeshError]:
        def per_crystal(values: torch.Tensor | None) -> list[FloatArray] | None:
            if values is None:
                return None
            return np.split(values.cpu().double().numpy(), np.cumsum(counts)[:-1])

        counts = [len(graph.crystal) for graph in graphs]
        energies = output.energies_ev.cpu().double().numpy()
        forces = per_crystal(output.forces_ev_per_angstrom)
        stress = None if output.stress_gpa is None else output.stress_gpa.cpu().double().numpy()
        moments = (
            per_crystal(output.magnetic_moments_mu_b) if Quantity.MAGNETIC_MOMENTS in quantities else None
        )
        return [
            finite(
                Evaluation(
                    counts[k],
                    float(energies[k]) + float(self._site_energies[graph.crystal.numbers - 1].sum()),
                    forces_ev_per_angstrom=None if forces is None else forces[k],
                    stress_gpa=None if stress is None else stress[k],
                    magnetic_moments_mu_b=None if moments is None else moments[k],
                ),
                self.info.name,
            )
            for k, graph in enumerate(graphs)
        ]
