"""The state of a training in one file, put in place in one step: tensors, and the rest as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_property.training.learning import Learner

_KEY = "crystalmesh_training"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Check:
    """What one validation found."""

    step: int
    seconds: float  # of training so far
    loss: float  # mean over the training batches since the last check
    validation: float  # mean over properties of MAE in standard deviations
    mae: dict[str, float]  # per property, on its scale


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    epoch: int = 0
    batch: int = 0  # of the epoch, the next one
    seconds: float = 0.0
    learnt: int = 0  # crystals seen, each time counted
    best: float = float("inf")
    checks: list[Check] = field(default_factory=list)


def save_checkpoint(path: Path, learner: Learner, best: list[Tensor], progress: Progress, key: str) -> None:
    """Write all that a training needs to go on; `key` says what it is a training of."""
    tensors: dict[str, Tensor] = {}
    for n, parameter in enumerate(learner.network.parameters()):
        tensors[f"weights.{n}"] = parameter.detach()
        tensors[f"average.{n}"] = learner.average[n]
        tensors[f"best.{n}"] = best[n]
        moments = learner.optimizer.state.get(parameter, {})
        tensors.update({f"{name}.{n}": moments[name] for name in _MOMENTS if name in moments})
    copies = {name: values.cpu().contiguous() for name, values in tensors.items()}
    said = {"key": key, "progress": asdict(progress)}
    write_file(path, save(copies, metadata={_KEY: json.dumps(said)}))


def load_checkpoint(path: Path, learner: Learner, key: str) -> tuple[list[Tensor], Progress] | None:
    """Go on where a training stopped: the best averages so far and its progress.

    None when there is nothing, or a training of something else. Raises DataCorruptError for a file that
    is no checkpoint.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            said: dict[str, Any] = json.loads(file.metadata()[_KEY])
            if said["key"] != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
        progress = Progress(**said["progress"])
        progress.checks = [Check(**check) for check in said["progress"]["checks"]]
        best = []
        with torch.no_grad():
            for n, parameter in enumerate(learner.network.parameters()):
                parameter.copy_(tensors[f"weights.{n}"])
                learner.average[n].copy_(tensors[f"average.{n}"])
                best.append(tensors[f"best.{n}"].to(parameter.device))
                if f"exp_avg.{n}" in tensors:
                    learner.optimizer.state[parameter] = {
                        name: tensors[f"{name}.{n}"].to(parameter.device) for name in _MOMENTS
                    }
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataCorruptError(f"{path} is no checkpoint of this training: {error}") from error
    return best, progress
