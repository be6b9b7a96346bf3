"""A trained network as a function of graphs: values and intervals in the units of its properties."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crystalmesh_property.graphs.batches import BatchSize, GraphBatch, GraphSource, even_batches, load_batch
from crystalmesh_property.model.network import CrystalGraphNetwork
from crystalmesh_property.properties import SCALES, Property

FloatArray = NDArray[np.float64]
EVALUATION_BATCH = BatchSize(crystals=512, edges=40_000)


@dataclass(frozen=True, eq=False)
class Estimates:
    """What a network says of c crystals, each of p properties on its scale."""

    values: FloatArray  # (c, p)
    scales: FloatArray  # (c, p), the mean errors that it expects

    def in_units(
        self, properties: Sequence[Property], factors: Sequence[float]
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values and the ends of intervals that are `factors` times the scales wide to each side, (c, p)."""
        half = self.scales * np.array(factors)
        ends = (self.values, self.values - half, self.values + half)
        value, lower, upper = (
            np.stack([SCALES[name].outward(each[:, n]) for n, name in enumerate(properties)], axis=1)
            for each in ends
        )
        return value, lower, upper


def estimate(network: CrystalGraphNetwork, batch: GraphBatch) -> Estimates:
    """What the network says of one batch, which is on its device."""
    with torch.inference_mode():
        output = network(batch)
        values = output.values.double() * network.spreads.double() + network.centres.double()
        scales = torch.exp(output.log_scales.double()) * network.spreads.double()
    found = values.cpu().numpy()
    bounded = [SCALES[name].bounded(found[:, n]) for n, name in enumerate(network.properties)]
    return Estimates(np.stack(bounded, axis=1), scales.cpu().numpy())


def estimate_members(
    network: CrystalGraphNetwork,
    source: GraphSource,
    edge_counts: NDArray[np.int64],
    members: NDArray[np.int64],
    *,
    size: BatchSize = EVALUATION_BATCH,
    workers: int = 1,
) -> Estimates:
    """What the network says of some members of a source, in their order, in batches of similar size.

    Each worker is a thread that works on a batch of its own.
    """
    values = np.zeros((len(members), len(network.properties)))
    scales = np.zeros_like(values)
    device = network.centres.device

    def work(places: NDArray[np.int64]) -> None:
        found = estimate(network, load_batch(source, members[places]).to(device))
        values[places], scales[places] = found.values, found.scales

    batches = even_batches(edge_counts[members], np.arange(len(members)), size)
    with ThreadPoolExecutor(workers, "predicting", initializer=alone_on_a_core) as threads:
        list(threads.map(work, reversed(batches)))  # the largest first, so that none waits for one at the end
    return Estimates(values, scales)


def alone_on_a_core() -> None:
    """Keep the operations of a thread to the thread."""
    torch.set_num_threads(1)
