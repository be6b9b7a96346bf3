"""Graphs side by side as tensors, and the batches of an epoch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalmesh_property.graphs.graph import CrystalGraph

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """c crystals with n nodes and e edges, all in one graph without edges between them."""

    elements: Tensor  # (n,) int64, atomic numbers
    shares: Tensor  # (n,), what part of its crystal's atoms a node stands for
    owners: Tensor  # (n,) int64, its crystal
    targets: Tensor  # (e,) int64, ascending
    sources: Tensor  # (e,) int64
    counts: Tensor  # (e,)
    distances: Tensor  # (e,), in Å
    angles: Tensor  # (e, ANGULAR_TERMS)
    space_groups: Tensor  # (c,) int64
    volumes: Tensor  # (c,), Å³ per atom

    def __len__(self) -> int:
        return len(self.volumes)

    def to(self, device: torch.device | str) -> GraphBatch:
        """The same on another device."""
        return GraphBatch(
            **{each.name: getattr(self, each.name).to(device, non_blocking=True) for each in fields(self)}
        )


def collate(graphs: Sequence[CrystalGraph]) -> GraphBatch:
    """One batch of at least one graph, in their order."""
    nodes = np.array([len(graph.elements) for graph in graphs])
    edges = np.array([len(graph.targets) for graph in graphs])
    owners = np.repeat(np.arange(len(graphs)), nodes)
    shifts = np.repeat(np.cumsum(nodes) - nodes, edges)  # (e,), the first node of an edge's crystal
    multiplicities = np.concatenate([graph.multiplicities for graph in graphs]).astype(np.float32)
    atoms = np.bincount(owners, weights=multiplicities, minlength=len(graphs))
    return GraphBatch(
        elements=_int64(np.concatenate([graph.elements for graph in graphs])),
        shares=torch.from_numpy((multiplicities / atoms[owners]).astype(np.float32)),
        owners=_int64(owners),
        targets=_int64(np.concatenate([graph.targets for graph in graphs]) + shifts),
        sources=_int64(np.concatenate([graph.sources for graph in graphs]) + shifts),
        counts=_float32(np.concatenate([graph.counts for graph in graphs])),
        distances=_float32(np.concatenate([graph.distances_angstrom for graph in graphs])),
        angles=_float32(np.concatenate([graph.angles for graph in graphs])),
        space_groups=torch.tensor([graph.space_group for graph in graphs]),
        volumes=torch.tensor([graph.volume_per_atom_cubic_angstrom for graph in graphs]),
    )


def _int64(values: NDArray[np.integer]) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))


def _float32(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


@dataclass(frozen=True)
class BatchSize:
    """When a batch is full. A crystal that alone has more edges is a batch of its own."""

    crystals: int = 64
    edges: int = 20_000


def shuffled_batches(
    edge_counts: NDArray[np.int64], members: NDArray[np.int64], size: BatchSize, *, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """The members in the batches of one epoch: each once, in an order that follows from seed and epoch."""
    order = np.random.default_rng([seed, epoch]).permutation(members)
    return _cut(edge_counts, order, size)


def even_batches(
    edge_counts: NDArray[np.int64], members: NDArray[np.int64], size: BatchSize
) -> list[NDArray[np.int64]]:
    """The members in batches of similar crystals, the smallest first, for when nothing is learnt."""
    return _cut(edge_counts, members[np.argsort(edge_counts[members], kind="stable")], size)


def _cut(
    edge_counts: NDArray[np.int64], order: NDArray[np.int64], size: BatchSize
) -> list[NDArray[np.int64]]:
    batches, start, edges = [], 0, 0
    for place, count in enumerate(edge_counts[order].tolist()):
        if place > start and (place - start >= size.crystals or edges + count > size.edges):
            batches.append(order[start:place])
            start, edges = place, 0
        edges += count
    return [*batches, order[start:]] if len(order) else batches


class GraphSource(Protocol):
    """Where graphs come from by number: a file, or several."""

    def graph(self, index: int) -> CrystalGraph: ...


def load_batch(source: GraphSource, members: NDArray[np.int64]) -> GraphBatch:
    """The batch of some crystals, in their order."""
    return collate([source.graph(int(index)) for index in members])


def ahead(make: Callable[[Item], Made], items: Iterable[Item], *, depth: int = 2) -> Iterator[Made]:
    """`map(make, items)` with the next few made in a thread meanwhile; what `make` raises comes out here."""
    ready: queue.Queue[tuple[bool, Made | BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[bool, Made | BaseException | None]) -> bool:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            for item in items:
                if not put((True, make(item))):
                    return
        except BaseException as error:  # noqa: BLE001 -- raised again by the reader
            put((False, error))
        else:
            put((False, None))

    thread = threading.Thread(target=run, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            more, made = ready.get()
            if not more:
                if isinstance(made, BaseException):
                    raise made
                return
            yield cast("Made", made)
    finally:
        stopped.set()
        thread.join()
