"""Valid samples a second of the language model on two cores, and what the grammar costs.

The service has all cores, and writes transitions and crystals for drawn references, constrained and free in
turns.
"""

from __future__ import annotations

import os
import statistics
import time

from benchmarks.generation_samples import Generator, generator
from benchmarks.generation_targets import unconditional
from benchmarks.quality.validity import validities

VALID_PER_S_BAR, RATIO_BAR = 10.0, 0.8


def run(quick: bool) -> dict[str, float]:
    """Medians over rounds; the ratio is the median of the rounds' own."""
    count, rounds = (64, 2) if quick else (256, 5)
    rates: dict[bool, list[float]] = {True: [], False: []}
    with generator("--threads", str(os.cpu_count() or 1)) as service:
        _rate(service, "first", 16, unconstrained=False)  # whatever is made at first use
        for number in range(rounds):
            for free in (False, True):
                rates[free].append(_rate(service, f"{number}-{free}", count, unconstrained=free))
    ratio = statistics.median(held / free for held, free in zip(rates[False], rates[True], strict=True))
    valid = statistics.median(rates[False])
    print(f"constrained {valid:.1f} valid samples/s, free {statistics.median(rates[True]):.1f}")
    for name, found, bar in (
        ("valid_per_s", valid, VALID_PER_S_BAR),
        ("constrained_ratio", ratio, RATIO_BAR),
    ):
        print(f"{name}: {found:.2f}, the bar is {bar:g}: {'holds' if found >= bar else 'MISSED'}")
    return {"valid_per_s": valid, "constrained_ratio": ratio}


def _rate(service: Generator, name: str, count: int, *, unconstrained: bool) -> float:
    """Valid samples a second, as a client sees it."""
    prompts = unconditional(count)
    started = time.perf_counter()
    made = service.make(name, prompts, generator="language_model", unconstrained=unconstrained)
    seconds = time.perf_counter() - started
    found = validities(made.samples)
    return sum(each is not None and each.valid for each in found) / seconds
