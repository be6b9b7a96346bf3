import threading

import numpy as np
import pytest
import torch

from crystalmesh_property.graphs.batches import BatchSize, ahead, collate, even_batches, shuffled_batches
from crystalmesh_property.graphs.graph import build_graph
from tests.conftest import block, lone_atom, silicon, sodium_chloride

EDGES = np.random.default_rng(0).integers(1, 400, 500)


def test_a_batch_is_its_graphs_side_by_side() -> None:
    """Nodes and edges follow each other, edges stay within their crystal, shares sum to one per crystal."""
    graphs = [
        build_graph(each) for each in (sodium_chloride(), lone_atom(), block(repeat=2), silicon(shift=0.02))
    ]
    batch = collate(graphs)
    assert len(batch) == 4
    assert batch.elements.tolist() == [z for graph in graphs for z in graph.elements.tolist()]
    assert torch.equal(batch.owners[batch.targets], batch.owners[batch.sources])
    assert torch.equal(batch.targets, batch.targets.sort().values)
    torch.testing.assert_close(torch.zeros(4).index_add(0, batch.owners, batch.shares), torch.ones(4))
    assert batch.space_groups.tolist() == [graph.space_group for graph in graphs]


@pytest.mark.parametrize("size", [BatchSize(7, 10_000), BatchSize(1000, 900), BatchSize(1, 1)])
def test_an_epoch_has_every_member_once(size: BatchSize) -> None:
    """No member is lost or doubled, and no batch is larger than it may be unless it is one crystal."""
    members = np.arange(0, 500, 3)
    for batches in (
        shuffled_batches(EDGES, members, size, seed=1, epoch=2),
        even_batches(EDGES, members, size),
    ):
        assert sorted(np.concatenate(batches)) == members.tolist()
        assert all(len(batch) == 1 or EDGES[batch].sum() <= size.edges for batch in batches)
        assert max(map(len, batches)) <= size.crystals


def test_the_order_follows_from_seed_and_epoch() -> None:
    """The same seed and epoch give the same batches, another epoch others."""

    def batches(epoch: int) -> list[list[int]]:
        members = np.arange(500)
        return [
            batch.tolist() for batch in shuffled_batches(EDGES, members, BatchSize(), seed=1, epoch=epoch)
        ]

    assert batches(0) == batches(0)
    assert batches(0) != batches(1)


def test_no_members_are_no_batches() -> None:
    """Nothing to do is no batch."""
    assert even_batches(EDGES, np.arange(0), BatchSize()) == []


def test_items_made_ahead_come_in_order_and_errors_come_out() -> None:
    """What a thread makes is what `map` makes, its exception is raised here, and the thread ends."""
    assert list(ahead(str, range(20))) == [str(n) for n in range(20)]
    results = ahead(lambda n: 1 / (3 - n), range(9))
    assert [next(results) for _ in range(3)] == [1 / 3, 1 / 2, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    endless = ahead(str, iter(int, 1))
    assert next(endless) == "0"
    endless.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]
