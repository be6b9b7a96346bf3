"""What a network is trained to make small, and on which scale it speaks of each property."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.model.network import CrystalGraphNetwork, Output
from crystalmesh_property.properties import SCALES, Property


def scaled_labels(labels: NDArray[np.float32], properties: Sequence[Property]) -> NDArray[np.float64]:
    """The labels of some properties out of all, (c, p), each on its scale; NaN where there is none."""
    columns = [list(Property).index(name) for name in properties]
    picked = labels[:, columns].astype(np.float64)
    scaled = [SCALES[name].inward(picked[:, n]) for n, name in enumerate(properties)]
    return np.stack(scaled, axis=1) if scaled else picked


def normalize_for(network: CrystalGraphNetwork, targets: NDArray[np.float64]) -> None:
    """Let the network's 0 and 1 be the mean and the standard deviation of each property's known labels.

    Raises InvalidFieldError for a property with fewer than two different labels.
    """
    for n, name in enumerate(network.properties):
        known = targets[:, n][np.isfinite(targets[:, n])]
        if len(known) < 2 or not known.std() > 0:
            raise InvalidFieldError(f"there are no labels to learn {name} from", field="properties")
        network.centres[n], network.spreads[n] = float(known.mean()), float(known.std())


def normalized(network: CrystalGraphNetwork, targets: Tensor) -> Tensor:
    """Labels (c, p) as the network speaks of them; NaN stays NaN."""
    return (targets - network.centres) / network.spreads


def loss_sum(output: Output, targets: Tensor, weights: Tensor) -> Tensor:
    """The loss of normalized labels (c, p), summed over the known ones; a missing one has no part in it.

    Values learn from their absolute error. Scales learn to be its mean: they are the widths of Laplace
    distributions around values that are taken as given, so asking for them costs no accuracy.
    """
    known = torch.isfinite(targets)
    errors = (output.values - torch.where(known, targets, output.values.detach())).abs()
    spread = output.log_scales + errors.detach() * torch.exp(-output.log_scales)
    return (torch.where(known, errors + spread, 0.0) * weights).sum()
