"""CHGNet's network, evaluated for inference.

The numbers are CHGNet's to single precision; the speed comes from four things. First layers are applied
before features are gathered onto edges, which are ten times as many as atoms. Core and gate share one
product. Forces and stress come out of one backward pass that keeps no graph for another. And each bond is
stored once, its reverse being the other half of an array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from chgnet.model.model import CHGNet
from torch import Tensor

from crystalmesh_relaxation.engines.chgnet_fast.graph import GraphBatch
from crystalmesh_relaxation.engines.chgnet_fast.layers import (
    WIDTH,
    AngularFeatures,
    GatedMessage,
    RadialFeatures,
)
from crystalmesh_relaxation.engines.units import EV_PER_CUBIC_ANGSTROM_IN_GPA


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """What the network gives for a batch of c crystals and n atoms."""

    energies_ev: Tensor  # (c,), of the interaction: the composition's share is not in it
    magnetic_moments_mu_b: Tensor  # (n,)
    forces_ev_per_angstrom: Tensor | None = None  # (n, 3)
    stress_gpa: Tensor | None = None  # (c, 3, 3)


@dataclass(eq=False)
class _Angles:
    """The angles of a batch: between which short bonds, at which atom, how weighted, with what features."""

    left: Tensor  # (a,), short bond
    right: Tensor  # (a,), short bond
    center: Tensor  # (a,), atom
    weights: Tensor  # (a, 64)
    features: Tensor  # (a, 64), layer by layer

    def gather(self, shares: list[Tensor]) -> Tensor:
        """Sum shares of left bond, right bond, angle and atom on the angles."""
        of_left, of_right, of_angle, of_center = shares
        hidden = of_angle + of_left.index_select(0, self.left)
        hidden = hidden + of_right.index_select(0, self.right)
        return hidden + of_center.index_select(0, self.center)


class FastNetwork:
    """A loaded CHGNet, ready to be evaluated. Its parameters no longer take gradients."""

    def __init__(self, model: CHGNet) -> None:
        model.requires_grad_(requires_grad=False)
        net = cast("Any", model)  # its submodules have types that say nothing of their parts
        self._net = net
        self._radial = RadialFeatures(net.bond_basis_expansion.rbf_expansion_ag)
        self._radial_short = RadialFeatures(net.bond_basis_expansion.rbf_expansion_bg)
        self._angular = AngularFeatures(net.angle_basis_expansion)
        # Features and weights of bonds come from the same radial functions, so from one product.
        self._bond_weight = (
            torch.cat([net.bond_embedding.weight, net.bond_weights_ag.weight]).t().contiguous()
        )
        self._to_atoms = [GatedMessage(layer.twoBody_atom, parts=3) for layer in net.atom_conv_layers]
        self._to_bonds = [GatedMessage(layer.twoBody_bond, parts=4) for layer in net.bond_conv_layers]
        # What the last angle layer writes, nothing reads.
        self._to_angles = [GatedMessage(layer.twoBody_bond, parts=4) for layer in net.angle_layers[:-1]]
        self._atom_out = [layer.mlp_out.layers[1].weight.t() for layer in net.atom_conv_layers]
        self._bond_out = [layer.mlp_out.layers[1].weight.t() for layer in net.bond_conv_layers]

    def __call__(self, batch: GraphBatch, *, forces: bool, stress: bool) -> NetworkOutput:
        """Evaluate a batch; energies and moments alone need no backward pass and a third of the time."""
        wanted = forces or stress
        with torch.set_grad_enabled(wanted):
            shift = torch.zeros_like(batch.frac_coords, requires_grad=wanted)
            strain = torch.zeros_like(batch.cells, requires_grad=wanted)
            site_energies, moments = self._sites(batch, shift, strain)
            energies = site_energies.new_zeros(len(batch.cells)).index_add(0, batch.owner, site_energies)
        if not wanted:
            return NetworkOutput(energies, moments)
        by_shift, by_strain = torch.autograd.grad(energies.sum(), [shift, strain])
        volumes = torch.linalg.det(batch.cells).abs()[:, None, None]
        return NetworkOutput(
            energies.detach(),
            moments.detach(),
            -by_shift if forces else None,
            by_strain / volumes * EV_PER_CUBIC_ANGSTROM_IN_GPA if stress else None,
        )

    def _sites(self, batch: GraphBatch, shift: Tensor, strain: Tensor) -> tuple[Tensor, Tensor]:
        """Energy and magnetic moment of every atom, (n,) each."""
        vectors, lengths = _bond_vectors(batch, shift, strain)
        bonds, weights = torch.split(self._radial(lengths) @ self._bond_weight, WIDTH, dim=1)
        weights = torch.cat([weights, weights])  # of directed bonds, (2b, 64)
        start = torch.cat([batch.first, batch.second])
        end = torch.cat([batch.second, batch.first])
        angles = self._angles(batch, vectors, lengths) if len(batch.angle_left) else None
        atoms = self._net.atom_embedding(batch.numbers - 1)
        moments = atoms.new_zeros(len(atoms))
        last = len(self._to_atoms) - 1
        for layer, message in enumerate(self._to_atoms):
            of_center, of_bond, of_neighbour = message.shares(atoms, bonds, atoms)
            hidden = torch.cat([of_bond, of_bond]) + of_center.index_select(0, start)
            messages = message(hidden + of_neighbour.index_select(0, end)) * weights
            gathered = torch.zeros_like(atoms).index_add(0, start, messages)
            atoms = torch.addmm(atoms, gathered, self._atom_out[layer])
            if layer == last - 1:
                moments = self._net.site_wise(atoms).abs().view(-1)
            if layer < last and angles is not None:
                bonds = self._update_bonds(layer, batch, atoms, bonds, angles)
        return self._net.mlp(self._net.readout_norm(atoms)).view(-1), moments

    def _angles(self, batch: GraphBatch, vectors: Tensor, lengths: Tensor) -> _Angles:
        short = vectors.index_select(0, batch.short)
        directed = torch.cat([short, -short])
        left, right = batch.angle_left, batch.angle_right
        cosines = (directed.index_select(0, left) * directed.index_select(0, right)).sum(dim=1)
        left, right = left % len(short), right % len(short)
        weights = self._net.bond_weights_bg(self._radial_short(lengths.index_select(0, batch.short)))
        return _Angles(
            left=left,
            right=right,
            center=batch.angle_center,
            weights=weights.index_select(0, left) * weights.index_select(0, right),
            features=self._net.angle_embedding(self._angular(cosines)),
        )

    def _update_bonds(
        self, layer: int, batch: GraphBatch, atoms: Tensor, bonds: Tensor, angles: _Angles
    ) -> Tensor:
        """The bonds after one layer; `angles` takes its features for the next."""
        short = bonds.index_select(0, batch.short)
        message = self._to_bonds[layer]
        messages = message(angles.gather(message.shares(short, short, angles.features, atoms)))
        gathered = torch.zeros_like(short).index_add(0, angles.left, messages * angles.weights)
        change = gathered @ self._bond_out[layer]
        bonds = bonds.index_add(0, batch.short, change)
        if layer < len(self._to_angles):
            short = short + change
            message = self._to_angles[layer]
            shares = message.shares(short, short, angles.features, atoms)
            angles.features = angles.features + message(angles.gather(shares))
        return bonds


def _bond_vectors(batch: GraphBatch, shift: Tensor, strain: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors from the second atom of each bond to the first, (b, 3), and lengths in Å, (b,)."""
    cells = batch.cells + batch.cells @ strain
    cart = torch.bmm(batch.frac_coords[:, None], cells.index_select(0, batch.owner))[:, 0] + shift
    images = torch.bmm(batch.image[:, None], cells.index_select(0, batch.bond_owner))[:, 0]
    # In CHGNet's order, so that both round alike.
    vectors = cart.index_select(0, batch.first) - (cart.index_select(0, batch.second) + images)
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    return vectors / lengths[:, None], lengths
