"""Property prediction: how far off are the shipped models, and how many crystals a second do they do.

Two parts, each a benchmark of its own with more figures: `property_quality` and `property_speed`. What each
ingredient of the network is worth is a third, `property_ablations`, which trains and takes long.
"""

from __future__ import annotations

from benchmarks import property_quality, property_speed
from benchmarks.harness import record

LAST_LINE = (
    "mp_gap_mae_ev",
    "e_form_mae_ev",
    "hull_mae_ev",
    "k_log10_mae",
    "crystals_per_s",
    "coverage95",
)


def run(quick: bool) -> dict[str, float]:
    """Both parts; the last line has six figures, and each part's file in `results` has all of its own."""
    figures: dict[str, float] = {}
    for part in (property_quality, property_speed):
        name = part.__name__.removeprefix("benchmarks.")
        print(f"\n== {name}", flush=True)
        found = part.run(quick)
        record(name, quick, found)
        figures |= found
    return {name: figures[name] for name in LAST_LINE}
