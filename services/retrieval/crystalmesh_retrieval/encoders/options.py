"""How an encoder is run: on what, with which numbers, by which code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum


class Precision(StrEnum):
    """The numbers that an encoder computes with. Vectors are always float32."""

    AUTO = "auto"
    """The fastest of those that keep the nearest material what it is; see `EncoderOptions`."""
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class Engine(StrEnum):
    """The code that runs a tower."""

    AUTO = "auto"
    """`torch` for the towers that it knows, else `library`."""
    TORCH = "torch"
    """Our own forward pass of T5 encoders, on packed texts."""
    LIBRARY = "library"
    """`sentence-transformers`, which runs every model of that library."""


@dataclass(frozen=True)
class EncoderOptions:
    """How to run an encoder. Strings that name a member of an enum stand for it.

    Raises ValueError for a value that is none.
    """

    device: str = "auto"  # auto (a GPU where there is one), cpu, cuda, cuda:1, mps
    precision: Precision | str = Precision.AUTO
    threads: int = 0  # of the CPU; 0: one a core
    engine: Engine | str = Engine.AUTO
    allow_downloads: bool = False  # of models that are named as on the Hugging Face hub and are not there

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", Precision(self.precision))
        object.__setattr__(self, "engine", Engine(self.engine))
        if self.threads < 0:
            raise ValueError(f"threads must not be negative, not {self.threads}")

    @property
    def cpu_threads(self) -> int:
        """As many as are to compute, at least one."""
        return (
            self.threads or len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else self.threads or 1
        )
