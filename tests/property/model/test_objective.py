import numpy as np
import pytest
import torch

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.graphs.batches import collate
from crystalmesh_property.graphs.graph import build_graph
from crystalmesh_property.model.network import CrystalGraphNetwork, NetworkConfig, Output
from crystalmesh_property.model.objective import loss_sum, normalize_for, normalized, scaled_labels
from crystalmesh_property.properties import Property
from tests.conftest import iron, silicon

BOTH = (Property.BAND_GAP, Property.BULK_MODULUS)


def test_a_missing_label_gives_no_gradient() -> None:
    """With one of two labels missing everywhere, its head learns nothing and the other does."""
    torch.manual_seed(0)
    network = CrystalGraphNetwork(NetworkConfig(width=16, layers=1), BOTH)
    targets = torch.tensor([[1.0, torch.nan], [0.0, torch.nan]])
    loss_sum(
        network(collate([build_graph(silicon()), build_graph(iron())])), targets, torch.ones(2)
    ).backward()
    gradients = [[p.grad for p in head.parameters()] for head in network.value_heads]
    assert any(each is not None and each.abs().max() > 0 for each in gradients[0])
    assert all(each is None or not each.any() for each in gradients[1])
    last = network.scale_head[-1]
    assert isinstance(last, torch.nn.Linear)
    assert last.weight.grad is not None
    assert last.weight.grad[0].any()
    assert not last.weight.grad[1].any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_no_labels_at_all_are_no_loss() -> None:
    """A batch without labels has a loss of zero and zero gradients, not NaN."""
    values = torch.ones(2, 2, requires_grad=True)
    loss = loss_sum(Output(values, torch.zeros(2, 2)), torch.full((2, 2), torch.nan), torch.ones(2))
    (gradient,) = torch.autograd.grad(loss, values)
    assert loss == 0
    assert not gradient.any()


def test_scales_learn_the_mean_error_and_values_do_not_notice() -> None:
    """The loss is lowest in a scale that is the mean absolute error; its gradient never reaches values."""
    errors = torch.tensor([[0.5], [1.5], [4.0]])
    log_scales = torch.full((3, 1), 2.0).log().requires_grad_()
    values = errors.clone().requires_grad_()
    loss = loss_sum(Output(values, log_scales), torch.zeros(3, 1), torch.ones(1))
    of_values, of_scales = torch.autograd.grad(loss, [values, log_scales])
    assert of_scales.sum() == pytest.approx(0.0, abs=1e-6)
    assert torch.equal(of_values, torch.ones(3, 1))


def test_labels_are_normalized_per_property_on_their_scale() -> None:
    """Moduli are learnt as logarithms, all with mean 0 and deviation 1; no logarithm is no label."""
    labels = np.full((4, len(Property)), np.nan, dtype=np.float32)
    labels[:, list(Property).index(Property.BAND_GAP)] = [0, 1, 2, np.nan]
    labels[:, list(Property).index(Property.BULK_MODULUS)] = [10, 1000, 0, np.nan]
    targets = scaled_labels(labels, BOTH)
    np.testing.assert_allclose(targets, [[0, 1], [1, 3], [2, np.nan], [np.nan, np.nan]], atol=1e-6)
    network = CrystalGraphNetwork(NetworkConfig(width=16, layers=1), BOTH)
    normalize_for(network, targets)
    scaled = normalized(network, torch.from_numpy(targets)).numpy()
    np.testing.assert_allclose(np.nanmean(scaled, axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(scaled, axis=0), 1, rtol=1e-5)


def test_a_property_without_labels_cannot_be_learnt() -> None:
    """Nothing to learn from raises InvalidFieldError."""
    network = CrystalGraphNetwork(NetworkConfig(width=16, layers=1), BOTH)
    with pytest.raises(InvalidFieldError, match="bulk_modulus_gpa"):
        normalize_for(network, np.array([[0.0, np.nan], [1.0, np.nan]]))
