"""The settings of the generation service."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from crystalmesh_common.runtime.devices import check_device_name
from crystalmesh_common.runtime.settings import ServiceSettings


class EngineKind(StrEnum):
    """What runs language models."""

    TRANSFORMERS = "transformers"
    VLLM = "vllm"


class DefaultGenerator(StrEnum):
    """How crystals are made for requests that leave it to the server."""

    LANGUAGE_MODEL = "language_model"
    IONIC_SUBSTITUTION = "ionic_substitution"
    BOTH = "both"


class GenerationSettings(ServiceSettings):
    """What this service adds to the common settings."""

    models: tuple[Path, ...] = Field(
        (),
        description="folders to serve models from beside the shipped ones, which they hide by name: of one "
        "model, of a training, or of several models; the first is the default",
    )
    shipped_models: bool = Field(default=True, description="serve the models that ship, too")
    engine: EngineKind = Field(
        EngineKind.TRANSFORMERS, description="what runs language models: transformers, vllm"
    )
    device: Annotated[str, AfterValidator(check_device_name)] = Field(
        "cpu", description="where models run: cpu, cuda, cuda:1, mps"
    )
    workers: int = Field(
        1, ge=1, le=64, description="processes that write, each with the models and texts of its own"
    )
    threads: int = Field(
        0,
        ge=0,
        description="CPU threads of each worker; 0: half of the cores, shared out evenly, since threads that "
        "compete with relaxations wait for each other",
    )
    capacity: int = Field(64, ge=1, le=4096, description="texts that a worker writes at once")
    default_generator: DefaultGenerator = Field(
        DefaultGenerator.BOTH,
        description="how crystals are made for requests that leave it to the server: language_model, "
        "ionic_substitution, or both, of which the better crystal is kept",
    )
    texts: int = Field(
        1, ge=1, le=64, description="crystals that a language model writes for one sample; the best is kept"
    )
    substitutions: int = Field(
        8, ge=1, le=64, description="crystals that substitution makes for one sample; the best is kept"
    )
    screen: bool = Field(
        default=True,
        description="let the property service's network predict the hull distances by which the best is "
        "told, where that service is installed",
    )
    materials: Path | None = Field(
        None,
        description="references for prompts that bring none: a Parquet table, a catalog or a folder of "
        "crystals; unset: the starter catalog of retrieval where that is installed",
    )
    prompts_per_call: int = Field(1024, ge=1, description="most prompts in one call of Generate")
