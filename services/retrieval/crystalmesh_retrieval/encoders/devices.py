"""Where encoders run, and on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crystalmesh_common.runtime.errors import ModelFailedError


def device_named(name: str) -> str:
    """The device that a setting means; `auto` is a GPU if there is one. Raises ModelFailedError."""
    import torch  # noqa: PLC0415 -- seconds; settings are checked without it

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if int(number or 0) >= present.get(kind, 0):
        raise ModelFailedError(
            f"there is no device {name!r} here; there are cpu and what torch finds: {present}"
        )
    return name


@contextmanager
def intra_op_threads(count: int) -> Iterator[None]:
    """Torch computes on so many threads within, and as before afterwards."""
    import torch  # noqa: PLC0415 -- seconds; settings are checked without it

    before = torch.get_num_threads()
    if before != count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if before != count:
            torch.set_num_threads(before)
