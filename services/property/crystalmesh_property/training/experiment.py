"""One training as one value, read from a TOML file and written beside the model that comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from crystalmesh_common.runtime.experiments import Section, read_experiment, shipped_experiment
from crystalmesh_property.graphs.graph import GraphOptions
from crystalmesh_property.model.network import NetworkConfig
from crystalmesh_property.properties import Property


class DataConfig(Section):
    """Which tables, and by whose rules they are split. Paths are relative to the folder of the data."""

    protocol: Literal["matbench", "mp20"]
    train: Path = Field(description="the table to learn from; for MatBench the one with the folds")
    validation: Path | None = Field(None, description="MP-20's validation part")
    test: Path | None = Field(None, description="MP-20's test part")
    extra: tuple[Path, ...] = Field((), description="tables that add moduli and gaps to MP-20")
    hull: Path | None = Field(
        None, description="entries from which hull distances that MP-20's train part lacks are computed"
    )
    fold: int = Field(0, ge=0, le=4, description="MatBench's fold to judge")
    validation_share: float = Field(0.04, gt=0, lt=1, description="of the other folds, set aside")
    rows: int | None = Field(None, gt=0, description="learn from at most so many")

    @property
    def tables(self) -> tuple[Path, ...]:
        """All tables that are read."""
        named = (self.train, self.validation, self.test, self.hull, *self.extra)
        return tuple(table for table in named if table is not None)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.protocol == "mp20" and (self.validation is None or self.test is None):
            raise ValueError("MP-20 needs its validation and its test part")
        if self.protocol == "matbench" and self.hull is not None:
            raise ValueError("MatBench's tables have no formation energies to compute hull distances from")
        return self


class BudgetConfig(Section):
    """When a training is over: the first that is reached. What is not given is not limited."""

    minutes: float | None = Field(
        None, gt=0, description="of training with its validations, without the last scores"
    )
    steps: int | None = Field(None, gt=0)
    checks: int = Field(30, ge=1, description="validations in the budget, each with a checkpoint")
    patience: int = Field(0, ge=0, description="checks without a better validation before it stops; 0 never")

    @model_validator(mode="after")
    def _limited(self) -> Self:
        if self.minutes is None and self.steps is None:
            raise ValueError("a budget has minutes or steps")
        return self


class OptimizationConfig(Section):
    """How the network learns."""

    crystals: int = Field(64, ge=1, description="of a batch at most")
    edges: int = Field(20_000, ge=1, description="of a batch at most")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warm_up: float = Field(0.02, ge=0, lt=1, description="share of the budget; then a cosine to zero")
    clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, which are judged")
    weights: dict[Property, float] = Field(default_factory=dict, description="of the losses; 1 unless given")


class MachineConfig(Section):
    """Where it runs."""

    device: str = Field("auto", description="cpu, cuda, cuda:1; auto is a GPU where there is one")
    workers: int = Field(2, ge=1, description="threads that each take a part of every batch, on the CPU")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto is bfloat16 on a GPU; on a CPU without matrix units it is slower"
    )


class Experiment(Section):
    """Everything that a trained model depends on besides the contents of the tables."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    seed: int = Field(0, ge=0)
    properties: tuple[Property, ...] = Field(min_length=1)
    data: DataConfig
    budget: BudgetConfig
    neighbours: int = Field(16, ge=1, le=64)
    cutoff_angstrom: float = Field(8.0, gt=0, le=15)
    network: NetworkConfig = NetworkConfig()
    optimization: OptimizationConfig = OptimizationConfig()
    machine: MachineConfig = MachineConfig()

    @property
    def graphs(self) -> GraphOptions:
        """The graphs that it learns from."""
        return GraphOptions(neighbours=self.neighbours, cutoff_angstrom=self.cutoff_angstrom)


def experiment_of(path: Path, changes: tuple[str, ...] = ()) -> Experiment:
    """The experiment of a TOML file, or by its bare name one that ships; else as `read_experiment`."""
    shipped = Path(__file__).parent / "experiments"
    return read_experiment(shipped_experiment(path, shipped), Experiment, changes)
