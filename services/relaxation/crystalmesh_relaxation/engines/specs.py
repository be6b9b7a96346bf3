"""How settings name the potentials to serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

CHGNET = "chgnet-0.3.0"


class Backend(Enum):
    """What runs a potential."""

    CHGNET = "chgnet"


@dataclass(frozen=True)
class ModelSpec:
    """A potential to load."""

    name: str  # what requests ask for
    backend: Backend
    source: str  # which one of the backend's


def parse_spec(text: str) -> ModelSpec:
    """The potential that a setting names; raises ValueError with what is wrong with it."""
    if text == CHGNET:
        return ModelSpec(CHGNET, Backend.CHGNET, "0.3.0")
    raise ValueError(f"no potential is called {text!r}; there is {CHGNET}")


def check_specs(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts, if each is a spec and no two have one name; raises ValueError otherwise."""
    if not texts:
        raise ValueError("at least one potential is needed")
    names = [parse_spec(text).name for text in texts]
    if len(set(names)) < len(names):
        raise ValueError(f"two potentials have one name: {', '.join(names)}")
    return tuple(texts)
