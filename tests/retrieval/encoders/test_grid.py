from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from crystalmesh_retrieval.encoders.encoder import Tower
from crystalmesh_retrieval.encoders.grid import grid_scales, on_grid, rounded_to_grid
from crystalmesh_retrieval.encoders.rounding import round_tower
from tests.retrieval.encoders.tiny_encoders import save_pair


def weights() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    spread = torch.logspace(-3, 1, 200)[:, None]
    return torch.randn(200, 64, generator=generator) * spread


def test_rounding_is_small_and_final() -> None:
    """A weight moves by at most 1/220 of its row's largest, and never again."""
    before = weights()
    after = rounded_to_grid(before)
    largest = before.abs().amax(dim=1, keepdim=True)
    assert float(((after - before).abs() / largest).max()) < 1 / 220
    assert torch.equal(rounded_to_grid(after), after)
    assert on_grid(after)
    assert not on_grid(before)


def test_rounded_weights_are_integers_times_a_scale() -> None:
    """They are at most 127 steps, and exact in float16."""
    after = rounded_to_grid(weights())
    steps = after / grid_scales(after)[:, None]
    assert torch.equal(steps, steps.round())
    assert float(steps.abs().max()) <= 127
    assert torch.equal(after.half().float(), after)


def test_rows_of_zeros() -> None:
    """A row of zeros stays, and is on the grid."""
    zeros = torch.zeros(3, 8)
    assert torch.equal(rounded_to_grid(zeros), zeros)
    assert on_grid(zeros)


def test_a_tower_is_rounded_in_place(tmp_path: Path) -> None:
    """Feed-forward weights change a little and once, all others not at all."""
    folder = save_pair(tmp_path / "tiny") / Tower.STRUCTURE
    before = load_file(folder / "model.safetensors")
    assert 0 < round_tower(folder) < 0.02
    assert round_tower(folder) == 0
    after = load_file(folder / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".DenseReluDense." in name}
