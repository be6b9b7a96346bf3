"""The crystal graph network: from a batch of graphs to properties with their uncertainty.

Nodes are kinds of site, edges say what lies around them (see `graphs.graph`). Every ingredient can be
switched off by configuration, so that the benchmark can say what each is worth. What is computed follows
from distances, angles, elements and the space group alone: moved, rotated, renumbered or repeated
crystals get the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import glu, silu

from crystalmesh_common.crystal.description.elements import COVALENT_RADII_ANGSTROM, ELECTRONEGATIVITIES
from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER
from crystalmesh_property.graphs.batches import GraphBatch
from crystalmesh_property.graphs.graph import ANGULAR_TERMS
from crystalmesh_property.properties import Property

_KINDS = MAX_ATOMIC_NUMBER + 1  # of elements, with room for a 0
_SPACE_GROUPS = 231
_PAIR_WIDTH = 32
_USUAL_NEIGHBOURS = 16.0
_LARGEST_LOG_SCALE = 4.0


class NetworkConfig(BaseModel):
    """The network's size and its ingredients."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(128, ge=8, le=1024, description="numbers per node and edge")
    layers: int = Field(4, ge=1, le=32, description="rounds of messages")
    radial_functions: int = Field(32, ge=4, le=256, description="Gaussians of a distance")
    cutoff_angstrom: float = Field(8.0, gt=0, description="where the last of them lies")
    element_pairs: bool = Field(default=True, description="edges know which two elements they join")
    space_group: bool = Field(default=True, description="nodes and crystals know the space group")
    angles: bool = Field(default=True, description="edges know how the other neighbours stand to them")
    edge_updates: bool = Field(default=True, description="edges remember what they said")
    attention: bool = Field(default=True, description="crystals weigh their nodes, beside the plain mean")
    heads: int = Field(4, ge=1, le=64, description="of the attention; divides the width")


@dataclass(frozen=True, eq=False)
class Output:
    """What the network says of c crystals, in the normalized scale of each of p properties."""

    values: Tensor  # (c, p)
    log_scales: Tensor  # (c, p), logarithm of the mean error to expect


class CrystalGraphNetwork(nn.Module):
    """A message-passing network with a head per property."""

    centres: Tensor  # (p,), on each property's scale, what an output of 0 means
    spreads: Tensor  # (p,), what an output of 1 is away from it

    def __init__(self, config: NetworkConfig, properties: tuple[Property, ...]) -> None:
        super().__init__()
        self.config, self.properties = config, properties
        width = config.width
        self.elements = nn.Embedding(_KINDS, width)
        self.groups = nn.Embedding(_SPACE_GROUPS, width) if config.space_group else None
        if self.groups is not None:
            nn.init.zeros_(self.groups.weight)  # what they add is learnt; at random they are noise
        self.edges = EdgeFeatures(config)
        self.rounds = nn.ModuleList(MessageRound(width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.attention = AttentionPool(width, config.heads) if config.attention else None
        parts = 1 + (self.attention is not None) + (self.groups is not None)
        self.trunk = nn.Sequential(nn.Linear(parts * width + 1, width), nn.SiLU(), nn.Linear(width, width))
        self.value_heads = nn.ModuleList(_head(width) for _ in properties)
        self.scale_head = _head(width, len(properties))
        self.register_buffer("centres", torch.zeros(len(properties)))
        self.register_buffer("spreads", torch.ones(len(properties)))

    def forward(self, batch: GraphBatch) -> Output:
        """What the network says of a batch."""
        nodes = self.elements(batch.elements)  # (n, width)
        groups = self.groups(batch.space_groups) if self.groups is not None else None  # (c, width)
        if groups is not None:
            nodes = nodes + groups.index_select(0, batch.owners)
        edges = self.edges(batch)  # (e, width)
        weights = (batch.counts / _USUAL_NEIGHBOURS)[:, None]
        for messages in self.rounds:
            nodes, said = messages(nodes, edges, weights, batch)
            if self.config.edge_updates:
                edges = edges + said
        crystal = silu(self.trunk(self._pooled(self.norm(nodes), groups, batch)))  # (c, width)
        values = torch.cat([head(crystal) for head in self.value_heads], dim=1)
        # The uncertainty is read off what the values are made of, and does not change it.
        log_scales = self.scale_head(crystal.detach()).clamp(-_LARGEST_LOG_SCALE, _LARGEST_LOG_SCALE)
        return Output(values.float(), log_scales.float())

    def _pooled(self, nodes: Tensor, groups: Tensor | None, batch: GraphBatch) -> Tensor:
        shares = batch.shares[:, None]
        parts = [nodes.new_zeros(len(batch), nodes.shape[1]).index_add(0, batch.owners, nodes * shares)]
        if self.attention is not None:
            parts.append(self.attention(nodes, batch))
        if groups is not None:
            parts.append(groups)
        return torch.cat([*parts, torch.log(batch.volumes / 15.0)[:, None]], dim=1)


class EdgeFeatures(nn.Module):
    """What an edge knows before anything is said: its length, its elements, the angles at it."""

    radii: Tensor  # (kinds,), in Å
    electronegativities: Tensor  # (kinds,)

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.width
        self.radial = Gaussians(0.5, config.cutoff_angstrom, config.radial_functions)
        self.relative = Gaussians(0.5, 3.0, config.radial_functions // 2) if config.element_pairs else None
        self.pairs = nn.Embedding(_KINDS * _KINDS, _PAIR_WIDTH) if config.element_pairs else None
        inputs = config.radial_functions + ANGULAR_TERMS * config.angles
        if self.pairs is not None:
            inputs += config.radial_functions // 2 + _PAIR_WIDTH + 2
            nn.init.normal_(self.pairs.weight, std=0.1)
        self.angles = config.angles
        self.mix = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))
        self.register_buffer("radii", _of_elements(COVALENT_RADII_ANGSTROM), persistent=False)
        self.register_buffer("electronegativities", _of_elements(ELECTRONEGATIVITIES), persistent=False)

    def forward(self, batch: GraphBatch) -> Tensor:
        """(e, width)."""
        parts = [self.radial(batch.distances)]
        if self.angles:
            parts.append(batch.angles)
        if self.pairs is not None and self.relative is not None:
            target = batch.elements.index_select(0, batch.targets)
            source = batch.elements.index_select(0, batch.sources)
            radii = self.radii[target] + self.radii[source]
            pull = self.electronegativities[target] - self.electronegativities[source]
            parts += [self.relative(batch.distances / radii), self.pairs(target * _KINDS + source)]
            parts.append(torch.stack([pull, pull * pull], dim=1))
        edges: Tensor = self.mix(torch.cat(parts, dim=1))
        return edges


class MessageRound(nn.Module):
    """Every edge says something that depends on its two nodes; every node takes in what it is told.

    The first layer of a message is linear in its three parts, so it is applied to nodes before they are
    gathered onto their edges, of which there are ten times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.of_nodes = nn.Linear(width, 4 * width)
        self.of_edge = nn.Linear(width, 2 * width, bias=False)
        self.update = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(
        self, nodes: Tensor, edges: Tensor, weights: Tensor, batch: GraphBatch
    ) -> tuple[Tensor, Tensor]:
        """The nodes afterwards, and what the edges said, (e, width)."""
        normal = self.norm(nodes)
        as_target, as_source = self.of_nodes(normal).chunk(2, dim=1)  # (n, 2 width) each
        hidden = self.of_edge(edges) + as_target.index_select(0, batch.targets)
        said = glu(hidden + as_source.index_select(0, batch.sources), dim=1)
        heard = said * weights
        told = heard.new_zeros(nodes.shape).index_add(0, batch.targets, heard)
        return nodes + self.update(torch.cat([normal, told.to(normal.dtype)], dim=1)), said


class AttentionPool(nn.Module):
    """A mean over the atoms of each crystal with weights that the nodes ask for."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scores = nn.Linear(width, heads)
        self.values = nn.Linear(width, width)

    def forward(self, nodes: Tensor, batch: GraphBatch) -> Tensor:
        """(c, width)."""
        scores = self.scores(nodes).float()  # (n, heads)
        owners = batch.owners[:, None].expand_as(scores)
        highest = scores.new_full((len(batch), self.heads), -torch.inf)
        highest = highest.scatter_reduce(0, owners, scores.detach(), "amax")
        raw = batch.shares[:, None] * torch.exp(scores - highest.index_select(0, batch.owners))
        total = raw.new_zeros(len(batch), self.heads).index_add(0, batch.owners, raw)
        weights = raw / total.index_select(0, batch.owners)
        values = self.values(nodes).float().view(len(nodes), self.heads, -1) * weights[:, :, None]
        pooled: Tensor = values.new_zeros(len(batch), nodes.shape[1])
        return pooled.index_add(0, batch.owners, values.flatten(1))


class Gaussians(nn.Module):
    """Bumps at even distances, each about as wide as the step between them."""

    centres: Tensor

    def __init__(self, start: float, stop: float, count: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(start, stop, count), persistent=False)
        self.steepness = 0.5 * ((count - 1) / (stop - start)) ** 2

    def forward(self, lengths: Tensor) -> Tensor:
        """(e,) to (e, count)."""
        offsets = lengths[:, None] - self.centres
        bumps: Tensor = torch.exp(offsets * offsets * -self.steepness)
        return bumps


def _head(width: int, outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width // 2), nn.SiLU(), nn.Linear(width // 2, outputs))


def _of_elements(table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    return torch.from_numpy(np.nan_to_num(table).astype(np.float32))
