"""One training as one value, read from a TOML file and written beside the model that comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from crystalmesh_common.runtime.experiments import Section, read_experiment, shipped_experiment
from crystalmesh_generation.language.portrait import TOLD_PROPERTIES
from crystalmesh_generation.model.dual_head import Size
from crystalmesh_generation.transitions.settings import TransitionsConfig

PROPERTIES = TOLD_PROPERTIES


class DataConfig(Section):
    """Which tables. Paths are relative to the folder of the data."""

    train: Path = Field(Path("mp20/train.parquet"), description="the table to learn from")
    validation: Path | None = Field(Path("mp20/val.parquet"), description="crystals to validate on")
    hull: Path | None = Field(
        Path("mp20_hull.parquet"),
        description="entries from which hull distances that are lacking are computed",
    )
    validation_crystals: int = Field(500, ge=1, description="of the validation table, drawn at random")
    references: int = Field(
        4, ge=1, description="that each crystal is paired with, in whose setting it is told"
    )
    rows: int | None = Field(None, gt=0, description="learn from at most so many")


class LessonConfig(Section):
    """What is taught, in shares of all lessons, and how it is varied."""

    transition: float = Field(0.62, ge=0, description="target and reference, transition, crystal")
    direct: float = Field(0.12, ge=0, description="target and reference, crystal")
    alone: float = Field(0.08, ge=0, description="target, crystal")
    facts: float = Field(0.18, ge=0, description="crystal, its values, and what can be said of it")
    unasked: float = Field(0.2, ge=0, le=1, description="of targets, those that ask for nothing")
    unaligned: float = Field(0.15, ge=0, le=1, description="of references, those of another prototype")
    translated: float = Field(0.3, ge=0, le=1, description="of crystals, moved by a random vector")
    permuted: float = Field(0.3, ge=0, le=1, description="of crystals, atoms in another order")
    turned: float = Field(0.3, ge=0, le=1, description="of crystals, axes in another order")
    prompt_weight: float = Field(0.15, ge=0, description="of the words of references in the loss")
    facts_weight: float = Field(0.4, ge=0, description="of the words of facts in the loss")
    values_weight: float = Field(0.5, ge=0, description="of the regression head's loss")


class BudgetConfig(Section):
    """When a training is over: the first that is reached."""

    minutes: float | None = Field(None, gt=0)
    steps: int | None = Field(None, gt=0)
    checks: int = Field(20, ge=1, description="validations in the budget, each with a checkpoint and samples")


class OptimizationConfig(Section):
    """How the model learns."""

    words: int = Field(4096, ge=64, description="of a step")
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    warm_up: float = Field(0.02, ge=0, lt=1, description="share of the budget")
    cool_down: float = Field(
        0.3, ge=0, le=1, description="share of the budget in which the rate falls to zero"
    )
    clip: float = Field(1.0, gt=0)
    average: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights, which are kept")


class AdapterConfig(Section):
    """MatExpert's recipe for somebody else's Llama: low-rank adapters beside its linear layers."""

    checkpoint: Path = Field(description="folder of the Llama, as Hugging Face's libraries save it")
    rank: int = Field(8, ge=1)
    alpha: float = Field(16.0, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    tokens: int = Field(2048, ge=64, description="of the longest conversation; longer ones are left out")
    part_tokens: int = Field(4096, ge=64, description="of a step, what goes through the model at once")
    gradient_checkpointing: bool = Field(default=False, description="less memory for a third more time")
    merge: bool = Field(default=False, description="also write the Llama with the adapter merged into it")


class MachineConfig(Section):
    """Where it runs."""

    device: str = Field("auto", description="cpu, cuda, cuda:1; auto is a GPU where there is one")
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto is bfloat16 on a GPU and on a CPU with matrix units for it"
    )


class SizeConfig(Section):
    """How large the model is."""

    width: int = Field(Size.width, ge=8)
    layers: int = Field(Size.layers, ge=1)
    heads: int = Field(Size.heads, ge=1)
    key_value_heads: int | None = Field(None, ge=1, description="as many as heads unless given")
    inner: int = Field(Size.inner, ge=8)
    positions: int = Field(Size.positions, ge=64)

    @property
    def size(self) -> Size:
        return Size(**self.model_dump())


class Experiment(Section):
    """One training."""

    name: str
    seed: int = 0
    max_atoms: int = Field(20, ge=1, description="larger crystals are left out")
    data: DataConfig = DataConfig()
    lessons: LessonConfig = LessonConfig()
    budget: BudgetConfig
    optimization: OptimizationConfig = OptimizationConfig()
    model: SizeConfig = SizeConfig()
    machine: MachineConfig = MachineConfig()
    adapter: AdapterConfig | None = Field(
        None, description="instead of a model of our own, adapters for this Llama"
    )
    transitions: TransitionsConfig | None = Field(
        None, description="transitions that an endpoint wrote, where there are any"
    )


def experiment_of(path: Path, changes: tuple[str, ...] = ()) -> Experiment:
    """The experiment of a TOML file, or by its bare name one that ships; else as `read_experiment`."""
    shipped = Path(__file__).parent / "experiments"
    return read_experiment(shipped_experiment(path, shipped), Experiment, changes)
