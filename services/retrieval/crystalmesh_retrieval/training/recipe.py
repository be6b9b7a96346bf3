"""How a pair of towers is trained, as one value: what is written beside it says how to make it again."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Architecture(StrEnum):
    """What both towers are."""

    T5 = "t5"
    BERT = "bert"


class Recipe(BaseModel):
    """Everything that a trained encoder depends on besides the data and the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    architecture: Architecture = Architecture.T5
    base: str = Field("", description="pretrained weights to start from, a name or a folder; '' from scratch")
    seed: int = 0

    width: int = Field(256, gt=0, description="of the residual stream, and dimensions of a vector")
    layers: int = Field(4, gt=0)
    heads: int = Field(4, gt=0)
    feed_forward: int = Field(1024, gt=0)
    vocabulary: int = Field(4096, ge=512, le=65_536)
    max_tokens: int = Field(192, ge=16, le=4096)
    dropout: float = Field(0.0, ge=0, lt=1)
    fresh_embeddings: float = Field(1.0, gt=0, description="spread of a new T5's token embeddings")
    fresh_blocks: float = Field(
        1.0, ge=0, description="what a new T5's layers add at first; 0: a bag of words"
    )

    epochs: int = Field(gt=0)
    batch: int = Field(gt=1, description="pairs that are each other's negatives")
    accumulation: int = Field(1, gt=0, description="batches a step")
    temperature: float = Field(gt=0)
    negatives: Literal["across", "both"] = Field("across", description="see `nt_xent`")
    alike: int = Field(1, gt=0, description="pairs of a batch that come together for being similar")
    augment: bool = True
    skimmed_epochs: int = Field(0, ge=0, description="first ones, that read some sentences on sites only")

    learning_rate: float = Field(gt=0)
    table_rate: float = Field(
        1.0, gt=0, description="how much faster the embeddings of tokens and positions learn"
    )
    weight_decay: float = Field(0.01, ge=0)
    warm_up: float = Field(0.0, ge=0, lt=1, description="share of the steps")
    decay: float = Field(0.0, ge=0, le=1, description="share of the steps, the last ones, linear to zero")
    clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    patience: int = Field(3, gt=0, description="epochs without a better validation before it stops")


def recipe(preset: str, **changes: object) -> Recipe:
    """The preset `compact` or `paper` with some fields changed; None changes nothing.

    Raises pydantic's ValidationError for a value that no recipe has, KeyError for another preset.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    own = FOR_BERT[preset] if given.get("architecture") == Architecture.BERT else {}
    return Recipe(**{"preset": preset, **PRESETS[preset], **own, **given})


PRESETS: dict[str, dict[str, object]] = {
    # MatExpert's: a pretrained base, batches of 32, eight to a step.
    "paper": {
        "epochs": 10,
        "batch": 32,
        "accumulation": 8,
        "temperature": 0.1,
        "negatives": "both",
        "learning_rate": 1e-4,
        "augment": False,
        "base": "t5-base",
        "max_tokens": 512,
        "width": 768,
        "layers": 12,
        "heads": 12,
        "feed_forward": 3072,
        "vocabulary": 32_128,
    },
    # From scratch on a CPU: true batches of 128 with similar materials among them, a higher rate, then none.
    "compact": {
        "fresh_blocks": 0.0,
        "table_rate": 20.0,
        "epochs": 4,
        "skimmed_epochs": 3,
        "batch": 128,
        "temperature": 0.05,
        "alike": 8,
        "learning_rate": 1e-3,
        "warm_up": 0.0525,
        "decay": 0.49,
    },
}

FOR_BERT: dict[str, dict[str, object]] = {
    "paper": {"base": "bert-base-uncased", "vocabulary": 30_522},
    "compact": {
        "learning_rate": 5e-4,
        "table_rate": 1.0,
    },  # it normalizes after its layers, and is upset by more
}
"""What the ablation has of its own."""
