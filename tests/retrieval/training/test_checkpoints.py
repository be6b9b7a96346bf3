from __future__ import annotations

from pathlib import Path

import pytest
import torch

from crystalmesh_common.runtime.errors import InvalidFieldError, WriterBusyError
from crystalmesh_retrieval.training.checkpoints import Checkpoint, Checkpoints, Progress


def checkpoint(step: int) -> Checkpoint:
    weights = {"a": torch.full((3,), float(step))}
    return Checkpoint(Progress(step=step), weights, {"step:a": torch.tensor(float(step))}, {})


def test_newest_comes_back(tmp_path: Path) -> None:
    """What was written last comes back, bit by bit, and only two are kept."""
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    for step in (1, 2, 10):
        checkpoints.write(checkpoint(step))
    found = checkpoints.newest()
    assert found is not None
    assert found.progress == Progress(step=10)
    assert torch.equal(found.weights["a"], torch.full((3,), 10.0))
    assert found.moments["step:a"].item() == 10.0
    assert len(list(tmp_path.glob("step-*"))) == 2


@pytest.mark.parametrize(
    "damage", ["state cut", "state gone", "weights cut", "weights flipped", "moments gone"]
)
def test_torn_ones_are_passed_over(tmp_path: Path, damage: str) -> None:
    """A checkpoint that is not whole is as if it had not been written; the one before it counts."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(checkpoint(1))
    checkpoints.write(checkpoint(2))
    part, what = damage.split()
    path = tmp_path / "step-0000002" / ("state.json" if part == "state" else f"{part}.safetensors")
    content = path.read_bytes()
    if what == "gone":
        path.unlink()
    elif what == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = checkpoints.newest()
    assert found is not None
    assert found.progress.step == 1


def test_no_pickle_is_read_or_written(tmp_path: Path) -> None:
    """A run's folder holds safetensors and JSON, nothing that could run code."""
    checkpoints = Checkpoints(tmp_path)
    with checkpoints.claimed({"recipe": 1}):
        checkpoints.write(checkpoint(1))
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors", ""}


def test_a_folder_belongs_to_one_run(tmp_path: Path) -> None:
    """Another recipe is refused, with what differs, and so is a second process; the same run goes on."""
    checkpoints = Checkpoints(tmp_path / "new")
    identity = {"recipe": {"seed": 0}, "data": "x"}
    second = Checkpoints(tmp_path / "new").claimed(identity)
    with checkpoints.claimed(identity), pytest.raises(WriterBusyError, match="another process"), second:
        pass
    with checkpoints.claimed(identity):
        pass
    with (
        pytest.raises(InvalidFieldError, match=r'another run, with recipe .*"seed": 0.* not .*"seed": 1'),
        checkpoints.claimed({"recipe": {"seed": 1}, "data": "x"}),
    ):
        pass
