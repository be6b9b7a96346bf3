"""How large the numbers inside a T5 tower become: what computing in bytes has to know, measured on texts.

They are stored with the tower's weights, as `ranges.json`, and belong to the encoder's version.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError

RANGES_FILE = "ranges.json"

_Range = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class LayerRanges:
    """The largest magnitudes in a layer."""

    attention_input: _Range  # the norm before, without its weights, which belong to the product
    read: _Range  # by the heads
    feed_input: _Range  # likewise
    hidden: _Range  # behind the ReLU


_RANGES = TypeAdapter(tuple[LayerRanges, ...])


def read_ranges(folder: Path) -> tuple[LayerRanges, ...] | None:
    """Those of a tower's layers, None where nobody measured them. Raises DataCorruptError."""
    try:
        return _RANGES.validate_json((folder / RANGES_FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        path = folder / RANGES_FILE
        problem = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise DataCorruptError(
            f"{path} is damaged ({problem}): restore the encoder's folder from a copy", file=path
        ) from None


def write_ranges(folder: Path, ranges: Sequence[LayerRanges]) -> None:
    """Store them beside the weights. Call it before `write_encoder_json`."""
    write_file(folder / RANGES_FILE, json.dumps([asdict(each) for each in ranges], indent=1).encode() + b"\n")
