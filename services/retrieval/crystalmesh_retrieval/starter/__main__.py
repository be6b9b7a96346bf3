"""Build the starter catalog: `python -m crystalmesh_retrieval.starter`.

Candidates, results and labels are files under `--work`. Started again it goes on with what has no result yet,
so it can be killed at any moment.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from crystalmesh_retrieval.starter.pipeline import build, candidates, relax

_SHIPPED = Path(__file__).parents[1] / "shipped" / "catalogs" / "starter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where a build is kept")
    parser.add_argument("--out", type=Path, default=_SHIPPED, help="the folder of the catalog")
    parser.add_argument("--count", type=int, default=4700, help="candidates")
    parser.add_argument("--workers", type=int, default=2, help="processes that relax")
    parser.add_argument(
        "--stage", choices=("all", "candidates", "relax", "catalog"), default="all", help="do only this"
    )
    arguments = parser.parse_args()
    if arguments.stage in ("all", "candidates"):
        candidates(arguments.work, arguments.count)
    if arguments.stage in ("all", "relax"):
        relax(arguments.work, arguments.workers, Progress())
    if arguments.stage in ("all", "catalog"):
        print(build(arguments.work, arguments.out))


class Progress:
    """A line on how far it is, every so often."""

    _SECONDS = 30.0

    def __init__(self) -> None:
        self._started = self._told = time.monotonic()
        self._before: int | None = None

    def __call__(self, done: int, total: int) -> None:
        self._before = done - 1 if self._before is None else self._before
        now = time.monotonic()
        if now - self._told > self._SECONDS or done == total:
            self._told = now
            rate = (done - self._before) / (now - self._started)
            print(f"{done}/{total}, {rate:.2f}/s, {(total - done) / rate / 60:.0f} min left", flush=True)


if __name__ == "__main__":
    main()
