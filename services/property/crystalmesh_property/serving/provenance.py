"""Where a model comes from, as its training wrote it beside the weights; what is missing stays unsaid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from crystalmesh_property.properties import Property


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Data(_Lenient):
    """Which tables a model was trained and judged on."""

    protocol: str = ""
    train: str = ""
    extra: tuple[str, ...] = ()
    fold: int = 0

    @property
    def name(self) -> str:
        """The data set as people call it: its folder, else its file."""
        path = PurePosixPath(self.train)
        return path.parts[0] if len(path.parts) > 1 else path.stem

    @property
    def part(self) -> str:
        """What its parts are called, with a space where a word follows."""
        return f"fold {self.fold} " if self.protocol == "matbench" else ""


class Optimization(_Lenient):
    """How it learnt."""

    crystals: int = 0
    learning_rate: float = 0.0
    average: float = 0.0


class Experiment(_Lenient):
    """What was asked of its training."""

    seed: int = 0
    data: Data = Data()
    optimization: Optimization = Optimization()


class Crystals(_Lenient):
    """Crystals in each part of the data."""

    train: int = 0
    validation: int = 0
    test: int = 0


class Score(_Lenient):
    """How well it does one property on the test part, on the property's scale."""

    property: Property
    crystals: int
    mae: float
    rmse: float
    coverage95: float


class Provenance(_Lenient):
    """What `Trainer` writes under `provenance`, with a licence where somebody added one."""

    experiment: Experiment = Experiment()
    crystals: Crystals = Crystals()
    scores: tuple[Score, ...] = ()
    steps: int = 0
    epochs: float = 0.0
    training_seconds: float = 0.0
    machine: str = ""
    license: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """Empty where it is not what a training writes: a model may be used without it."""
        try:
            return cls.model_validate(said)
        except ValidationError:
            return cls()

    def test_mae(self, name: Property) -> float | None:
        """The mean error on the test part, on the property's scale; None where it was not measured."""
        found = (score.mae for score in self.scores if score.property is name)
        return next((mae for mae in found if math.isfinite(mae)), None)
