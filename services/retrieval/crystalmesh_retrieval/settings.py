"""The settings of the retrieval service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from crystalmesh_common.runtime.settings import ServiceSettings
from crystalmesh_retrieval.encoders.options import Engine, Precision

DEFAULT_ENCODER = "compact-t5"

_DEVICE = re.compile(r"cpu|cuda(:\d+)?|mps")


def _check_device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise ValueError(f"no device is called {text!r}; there are cpu, cuda, cuda:0, cuda:1, … and mps")
    return text


class RetrievalSettings(ServiceSettings):
    """What this service adds to the common settings."""

    encoder: str = Field(
        DEFAULT_ENCODER,
        description="encoder to search with: a shipped name or a folder; empty: none, and no searches",
    )
    describer: str = Field(
        "", description="who puts crystals into words; unset: whose texts the encoder was trained on"
    )
    engine: Engine = Field(Engine.AUTO, description="code that runs the encoder: torch, library")
    allow_downloads: bool = Field(
        default=False, description="fetch an encoder named as on the Hugging Face hub that is not there"
    )
    catalogs: Path | None = Field(
        None, description="folder of the catalogs; unset: `catalogs` in the folder of the mesh"
    )
    default_catalog: str = Field(
        "", description="catalog of requests that name none; unset: `starter` if there, else the only one"
    )
    device: Annotated[str, AfterValidator(_check_device)] = Field(
        "cpu", description="where the encoder runs: cpu, cuda, cuda:1, mps"
    )
    precision: Precision = Field(
        Precision.AUTO, description="numbers that the encoder computes with: float32, bfloat16, int8"
    )
    threads: int = Field(0, ge=0, description="CPU threads of encoder and index; 0: one a core")
    batch_tokens: float = Field(4096, gt=0, description="most tokens of texts that are encoded together")
    matching_threads: int = Field(1, ge=1, le=64, description="crystals of FindMatches compared at a time")
    index_seconds: float = Field(
        5.0, ge=0, description="how long a search waits for the index of a catalog before it is told to retry"
    )
    material_cache_bytes: int = Field(
        256 * 1024 * 1024, ge=0, description="memory for materials that were read from catalogs before"
    )
