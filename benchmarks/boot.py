"""Seconds from `crystalmesh up` to a mesh of which every service is ready."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time


def run(quick: bool) -> dict[str, float]:
    """Median and worst over some starts, each in a home of its own."""
    seconds = [boot(number) for number in range(2 if quick else 5)]
    return {"seconds_median": statistics.median(seconds), "seconds_max": max(seconds)}


def boot(number: int) -> float:
    command = [sys.executable, "-m", "crystalmesh_client.cli"]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "CRYSTALMESH_HOME": home}
        started = time.perf_counter()
        try:
            subprocess.run(
                [*command, "up", "--detach"], env=environment, check=True, stdout=subprocess.DEVNULL
            )
            seconds = time.perf_counter() - started
        finally:
            run_quietly([*command, "down"], environment)
    print(f"start {number + 1}: all ready after {seconds:.1f} s")
    return seconds


def run_quietly(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
