"""The state of a training in one file, put in place in one step: tensors, and the rest as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError

_KEY = "crystalmesh_training"


@dataclass(frozen=True)
class Check:
    """What one validation found."""

    step: int
    seconds: float  # of training so far
    words: int  # learnt from so far
    loss: float  # mean surprise of a word that is taught, over the steps since the last check
    validation: float  # mean surprise of a word of transitions and crystals, in nats
    mae: dict[str, float]  # of the regression head, in the properties' units
    samples: tuple[str, ...] = ()  # what it wrote


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    seconds: float = 0.0
    lessons: int = 0
    words: int = 0
    checks: list[Check] = field(default_factory=list)


class Resumable(Protocol):
    """What learns, as far as a checkpoint has to know it."""

    parameters: list[Tensor]
    average: list[Tensor]  # of the parameters, where one is kept; else empty
    optimizers: list[torch.optim.Optimizer]


def save_checkpoint(path: Path, learner: Resumable, progress: Progress, key: str) -> None:
    """Write all that a training needs to go on; `key` says what it is a training of."""
    tensors: dict[str, Tensor] = {}
    for n, parameter in enumerate(learner.parameters):
        tensors[f"weights.{n}"] = parameter.detach()
    tensors |= {f"average.{n}": values for n, values in enumerate(learner.average)}
    for number, name, values in _moments(learner):
        tensors[f"{name}.{number}"] = values
    copies = {name: values.cpu().contiguous() for name, values in tensors.items()}
    said = {"key": key, "progress": asdict(progress)}
    write_file(path, save(copies, metadata={_KEY: json.dumps(said)}))


def load_checkpoint(path: Path, learner: Resumable, key: str) -> Progress | None:
    """Go on where a training stopped.

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
        with torch.no_grad():
            for n, parameter in enumerate(learner.parameters):
                parameter.copy_(tensors[f"weights.{n}"])
            for n, average in enumerate(learner.average):
                average.copy_(tensors[f"average.{n}"])
        _restore(learner, tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataCorruptError(f"{path} is no checkpoint of this training: {error}") from error
    return progress


def _moments(learner: Resumable) -> list[tuple[int, str, Tensor]]:
    """What the optimizers remember, by the number of the parameter and the name of the memory."""
    states = {id(each): state for opt in learner.optimizers for each, state in opt.state.items()}
    return [
        (number, name, values)
        for number, parameter in enumerate(learner.parameters)
        for name, values in states.get(id(parameter), {}).items()
        if isinstance(values, Tensor)
    ]


def _restore(learner: Resumable, tensors: dict[str, Tensor]) -> None:
    numbers = {id(parameter): number for number, parameter in enumerate(learner.parameters)}
    for optimizer in learner.optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                suffix = f".{numbers[id(parameter)]}"
                optimizer.state[parameter] = {
                    name.removesuffix(suffix): values.to(parameter.device)
                    for name, values in tensors.items()
                    if name.endswith(suffix) and not name.startswith(("weights.", "average."))
                }
