"""The pieces of CHGNet's network that cost time: radial and angular features, and gated messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, silu

WIDTH = 64


class RadialFeatures:
    """Bessel functions of a length that end smoothly at a cutoff, as CHGNet's `RadialBessel` has them."""

    def __init__(self, bessel: Any) -> None:
        self._frequencies: Tensor = bessel.frequencies
        self._inverse_cutoff: float = bessel.inv_cutoff
        self._norm: float = bessel.norm_const
        envelope = bessel.smooth_cutoff
        self._power: int = envelope.p
        self._coefficients: tuple[float, float, float] = (envelope.a, envelope.b, envelope.c)

    def __call__(self, lengths: Tensor) -> Tensor:
        """(b,) lengths in Å to (b, 31) features."""
        scaled = lengths * self._inverse_cutoff
        a, b, c = self._coefficients
        envelope = 1 + scaled**self._power * (a + scaled * (b + scaled * c))
        envelope = torch.where(scaled < 1, envelope, 0.0)
        waves = torch.sin(torch.outer(scaled, self._frequencies))
        return waves * (self._norm * envelope / lengths)[:, None]


class AngularFeatures:
    """The Fourier series of an angle, as CHGNet's `AngleEncoder` has it."""

    def __init__(self, encoder: Any) -> None:
        self._frequencies: Tensor = encoder.fourier_expansion.frequencies

    def __call__(self, cosines: Tensor) -> Tensor:
        """(a,) cosines to (a, 31) features."""
        # CHGNet keeps the cosine off ±1, where the derivative of the angle diverges.
        phases = torch.outer(torch.acos(cosines * (1 - 1e-6)), self._frequencies)
        constant = phases.new_full((len(phases), 1), 1 / math.sqrt(2))
        return torch.cat([constant, phases.sin(), phases.cos()], dim=1) / math.sqrt(math.pi)


class GatedMessage:
    """A gated MLP over concatenated features, as CHGNet's `GatedMLP` with layer norms.

    Its first layer is linear in each part of what is concatenated. So it is applied to each part where the
    part lives, on atoms or bonds (`shares`), and the results are gathered onto edges and summed there.
    """

    def __init__(self, gated_mlp: Any, parts: int) -> None:
        core, gate = _linear_layers(gated_mlp.mlp_core), _linear_layers(gated_mlp.mlp_gate)
        weight = torch.cat([core[0].weight, gate[0].weight])  # (128, 64 * parts)
        self._weights = [part.t().contiguous() for part in torch.split(weight, WIDTH, dim=1)]
        if len(self._weights) != parts:
            raise ValueError(f"a message of {parts} parts has {len(self._weights)} in this model")
        self._bias = torch.cat([core[0].bias, gate[0].bias])
        self._second = [(layers[1].weight.t(), layers[1].bias) for layers in (core, gate) if len(layers) > 1]
        self._norms = [(norm.weight, norm.bias, norm.eps) for norm in (gated_mlp.bn1, gated_mlp.bn2)]

    def shares(self, *parts: Tensor) -> list[Tensor]:
        """The first layer applied to each part, core and gate side by side, (·, 128) each.

        The bias is in the first, so that their sum is the layer's output.
        """
        first = torch.addmm(self._bias, parts[0], self._weights[0])
        return [first, *(part @ weight for part, weight in zip(parts[1:], self._weights[1:], strict=True))]

    def __call__(self, hidden: Tensor) -> Tensor:
        """What comes of the summed shares, (e, 128) to (e, 64)."""
        halves: Sequence[Tensor] = torch.split(hidden, WIDTH, dim=1)
        if self._second:
            halves = torch.split(silu(hidden), WIDTH, dim=1)
            halves = [
                torch.addmm(bias, half, weight)
                for half, (weight, bias) in zip(halves, self._second, strict=True)
            ]
        core, gate = (
            layer_norm(half, (WIDTH,), weight, bias, eps)
            for half, (weight, bias, eps) in zip(halves, self._norms, strict=True)
        )
        return silu(core) * torch.sigmoid(gate)


def _linear_layers(mlp: Any) -> list[Any]:
    return [layer for layer in mlp.layers if isinstance(layer, torch.nn.Linear)]
