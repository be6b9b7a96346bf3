"""The devices that models run on: what they are called, whether they are there, and when they are full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crystalmesh_common.runtime.errors import InvalidFieldError, ModelFailedError, OutOfMemoryError

if TYPE_CHECKING:
    import torch

_DEVICE = re.compile(r"cpu|cuda(:\d+)?|mps")


def check_device_name(text: str) -> str:
    """The text, if it names a device that a machine could have; raises ValueError otherwise."""
    if not _DEVICE.fullmatch(text):
        raise ValueError(f"no device is called {text!r}; there are cpu, cuda, cuda:0, cuda:1, … and mps")
    return text


def require_device(device: str) -> None:
    """Raise ModelFailedError unless this machine has the device."""
    import torch  # noqa: PLC0415 -- seconds; settings check names without it

    if device == "mps" and not torch.backends.mps.is_available():
        raise ModelFailedError("the device mps is not there: this is no Mac with Metal, or torch lacks it")
    if device.startswith("cuda"):
        present = torch.cuda.device_count() if torch.cuda.is_available() else 0
        _, _, number = device.partition(":")
        if int(number or 0) >= present:
            raise ModelFailedError(
                f"the device {device} is not there: torch {torch.__version__} sees {present} CUDA devices"
            )


def training_device(name: str) -> torch.device:
    """Where to train; `auto` is a GPU where there is one. Raises InvalidFieldError for what is not here."""
    import torch  # noqa: PLC0415 -- likewise

    gpu = torch.cuda.is_available()
    try:
        device = torch.device(("cuda" if gpu else "cpu") if name == "auto" else name)
    except RuntimeError as error:
        raise InvalidFieldError(f"{name!r} is no device", field="machine.device") from error
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and not gpu):
        raise InvalidFieldError(f"there is no {name} here", field="machine.device")
    return device


@contextmanager
def memory_errors_typed() -> Iterator[None]:
    """Raise OutOfMemoryError where torch runs out of memory, on any device."""
    import torch  # noqa: PLC0415 -- likewise

    try:
        yield
    except RuntimeError as error:
        # torch has a class for this on GPUs only.
        if "not enough memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise OutOfMemoryError("the device ran out of memory on this item") from error
        raise
