"""Run one benchmark: `python benchmarks/harness.py NAME`, or `make bench B=NAME`.

A benchmark is a module here with `run(quick: bool) -> dict[str, float]`, or with text such as "9/10" among
the figures. They go to `results/NAME.json` with the machine and the commit, and to a last line
`figure NAME key=value …`.
QUICK=1 in the environment asks for a run within 50 s.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from crystalmesh_common.runtime.errors import CrystalMeshError

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def main(arguments: list[str]) -> int:
    names = sorted(p.stem for p in HERE.glob("*.py") if "def run(" in p.read_text() and p.stem != "harness")
    if len(arguments) != 1 or arguments[0] not in names:
        print(f"usage: make bench B=NAME [QUICK=1], NAME one of: {', '.join(names)}", file=sys.stderr)
        return 2
    name = arguments[0]
    quick = os.environ.get("QUICK", "") not in ("", "0")
    sys.path.insert(0, str(HERE.parent))
    try:
        figures = importlib.import_module(f"benchmarks.{name}").run(quick)
    except (FileNotFoundError, CrystalMeshError) as error:
        print(f"benchmark {name} cannot run: {error}", file=sys.stderr)
        return 1
    record(name, quick, figures)
    print(f"figure {name} " + " ".join(f"{key}={_short(value)}" for key, value in figures.items()))
    return 0


def record(name: str, quick: bool, figures: Mapping[str, float | str]) -> None:
    """Write the figures with all that one needs to compare them later."""
    RESULTS.mkdir(exist_ok=True)
    facts = {
        "benchmark": name,
        "quick": quick,
        "figures": figures,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor()
    lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
