"""Makes a trained encoder ready for eight bits: rounds feed-forward weights to the grid, once and for all.

Whoever runs the encoder afterwards, in floats or in integers, runs the same weights.
"""

from __future__ import annotations

from pathlib import Path

from crystalmesh_retrieval.catalog.durable import write_file
from crystalmesh_retrieval.encoders.tower_model import read_tower


def round_tower(folder: Path) -> float:
    """Round the feed-forward weights of a stored T5 tower, in place; other weights and all types stay.

    Call it before `write_encoder_json`. The answer is the root mean square of the change, as a share of that
    of the weights; 0 where they were rounded before.
    """
    from safetensors import safe_open  # noqa: PLC0415 -- with torch, which takes seconds
    from safetensors.torch import save  # noqa: PLC0415 -- likewise

    from crystalmesh_retrieval.encoders.grid import rounded_to_grid  # noqa: PLC0415 -- likewise
    from crystalmesh_retrieval.encoders.precision import FEED_FORWARD  # noqa: PLC0415 -- likewise

    changed = total = 0.0
    for path in sorted(read_tower(folder).transformer.folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- it is no mapping
        for name, weight in weights.items():
            if FEED_FORWARD in name:
                rounded = rounded_to_grid(weight)
                changed += float((rounded - weight.float()).square().sum())
                total += float(weight.float().square().sum())
                weights[name] = rounded.to(weight.dtype)
        write_file(path, save(weights, metadata))
    return float((changed / total) ** 0.5) if total else 0.0
