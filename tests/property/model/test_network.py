from pathlib import Path

import numpy as np
import pytest
import torch

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import DataCorruptError, ModelNotFoundError
from crystalmesh_property.graphs.batches import collate
from crystalmesh_property.graphs.graph import GraphOptions, build_graph
from crystalmesh_property.model.files import TrainedModel, load_model, save_model
from crystalmesh_property.model.network import CrystalGraphNetwork, NetworkConfig
from crystalmesh_property.model.predicting import estimate
from crystalmesh_property.properties import Property
from tests.conftest import block, iron, lone_atom, silicon, sodium_chloride
from tests.property.crystals import random_crystal

PROPERTIES = (Property.FORMATION_ENERGY, Property.BAND_GAP, Property.BULK_MODULUS)
SMALL = NetworkConfig(width=16, layers=3)


@pytest.fixture(scope="module")
def network() -> CrystalGraphNetwork:
    return new_network(SMALL)


def new_network(config: NetworkConfig) -> CrystalGraphNetwork:
    """One whose space groups say something, as after a training."""
    torch.manual_seed(0)
    network = CrystalGraphNetwork(config, PROPERTIES).eval()
    if network.groups is not None:
        torch.nn.init.normal_(network.groups.weight)
    return network


def outputs(
    network: CrystalGraphNetwork, *crystals: Crystal, options: GraphOptions | None = None
) -> torch.Tensor:
    """Values and scales, (c, 2p)."""
    with torch.no_grad():
        output = network(collate([build_graph(each, options) for each in crystals]))
    return torch.cat([output.values, output.log_scales], dim=1)


def supercell(crystal: Crystal) -> Crystal:
    """Twice along a, and once sheared."""
    sites = np.concatenate([crystal.frac_coords, crystal.frac_coords + np.array([1, 0, 0])]) / [2, 1, 1]
    doubled = Crystal(crystal.cell * [[2], [1], [1]], np.tile(crystal.numbers, 2), sites)
    shear = np.array([[1.0, 0, 0], [1, 1, 0], [0, 0, 1]])
    return Crystal(shear @ doubled.cell, doubled.numbers, doubled.frac_coords @ np.linalg.inv(shear))


@pytest.mark.parametrize("seed", range(3))
def test_how_a_crystal_is_written_does_not_matter(network: CrystalGraphNetwork, seed: int) -> None:
    """Moved, rotated, mirrored, renumbered and repeated crystals get the same outputs."""
    crystal = random_crystal(seed)
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
    order = random.permutation(len(crystal))
    same = [
        Crystal(crystal.cell, crystal.numbers, crystal.frac_coords + random.normal(size=3)),
        Crystal(crystal.cell @ turn, crystal.numbers, crystal.frac_coords),
        Crystal(crystal.cell, crystal.numbers[order], crystal.frac_coords[order]),
        supercell(crystal),
    ]
    wanted = outputs(network, crystal)
    assert wanted.abs().max() > 0.01
    for other in same:
        torch.testing.assert_close(outputs(network, other), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "crystal", [sodium_chloride(), silicon(shift=0.03), iron(), block(repeat=2)], ids=lambda each: each.id
)
def test_reduction_by_symmetry_changes_nothing(network: CrystalGraphNetwork, crystal: Crystal) -> None:
    """The graph of orbits and the graph of all atoms and neighbours give the same outputs."""
    full = outputs(network, crystal, options=GraphOptions(reduce_by_symmetry=False))
    torch.testing.assert_close(outputs(network, crystal), full, atol=1e-4, rtol=0)


def test_batched_equals_single(network: CrystalGraphNetwork) -> None:
    """What a crystal is batched with does not change its outputs, even one without edges."""
    crystals = [random_crystal(seed, atoms=1 + seed) for seed in range(5)] + [lone_atom(), block(), iron()]
    together = outputs(network, *crystals)
    alone = torch.cat([outputs(network, each) for each in crystals])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["element_pairs", "space_group", "angles", "edge_updates", "attention"])
def test_every_ingredient_can_be_left_out(name: str) -> None:
    """A network without the ingredient runs and says something else than the whole one."""
    without = new_network(SMALL.model_copy(update={name: False}))
    found = outputs(without, silicon(), sodium_chloride())
    assert found.isfinite().all()
    assert not torch.allclose(found, outputs(new_network(SMALL), silicon(), sodium_chloride()))


def test_fresh_space_groups_add_nothing() -> None:
    """They begin at zero: at random they were noise on every node, and cost a quarter of the accuracy."""
    groups = CrystalGraphNetwork(SMALL, PROPERTIES).groups
    assert groups is not None
    assert not groups.weight.any()


def test_distances_elements_and_angles_are_seen(network: CrystalGraphNetwork) -> None:
    """A wider cell, another element and a shifted atom change the outputs."""
    base = outputs(network, silicon())
    other = Crystal(silicon().cell, np.array([32, 14]), silicon().frac_coords)
    wider = Crystal(silicon().cell * 1.05, silicon().numbers, silicon().frac_coords)
    for changed in (other, wider, silicon(shift=0.02)):
        assert (outputs(network, changed) - base).abs().max() > 1e-4


def test_half_precision_is_close(network: CrystalGraphNetwork) -> None:
    """Under autocast to bfloat16 the outputs stay finite, in float32, and near."""
    batch = collate([build_graph(random_crystal(1)), build_graph(lone_atom())])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = network(batch)
    assert low.values.dtype == torch.float32
    torch.testing.assert_close(low.values, network(batch).values, atol=0.1, rtol=0)


def test_estimates_are_in_units_and_within_bounds(network: CrystalGraphNetwork) -> None:
    """Gaps are never negative, moduli come back from their logarithm, and intervals contain their value."""
    network = new_network(SMALL)
    network.centres[:] = torch.tensor([-1.0, -5.0, 2.0])
    found = estimate(network, collate([build_graph(silicon()), build_graph(iron())]))
    value, lower, upper = found.in_units(PROPERTIES, [1.0, 2.0, 3.0])
    assert (value[:, 1] == 0).all()
    assert (value[:, 2] > 0).all()
    np.testing.assert_allclose(np.log10(value[:, 2]), found.values[:, 2])
    assert ((lower <= value) & (value <= upper)).all()
    assert (lower[:, 1] >= 0).all()


def test_a_model_comes_back_from_its_folder(tmp_path: Path, network: CrystalGraphNetwork) -> None:
    """Saved and loaded, a model gives the same numbers; a damaged one and none raise."""
    model = TrainedModel(network, GraphOptions(neighbours=8), {Property.BAND_GAP: 2.0}, {"atoms": [1, 4]})
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert (loaded.graphs, loaded.interval_factors, loaded.domain) == (
        model.graphs,
        model.interval_factors,
        model.domain,
    )
    assert torch.equal(outputs(loaded.network, iron()), outputs(network, iron()))
    numbers = bytearray((tmp_path / "model.safetensors").read_bytes())
    numbers[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(numbers)
    with pytest.raises(DataCorruptError):
        load_model(tmp_path)
    with pytest.raises(ModelNotFoundError):
        load_model(tmp_path / "none")
