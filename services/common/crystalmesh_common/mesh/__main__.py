"""`python -m crystalmesh_common.mesh`: the supervisor that `crystalmesh up --detach` leaves behind."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from crystalmesh_common.mesh.errors import MeshError
from crystalmesh_common.mesh.home import MeshHome, MeshLock
from crystalmesh_common.mesh.hosts import RUNTIMES, STANDALONE
from crystalmesh_common.mesh.registry import select_services
from crystalmesh_common.mesh.screens import LineScreen
from crystalmesh_common.mesh.session import run_mesh
from crystalmesh_common.mesh.supervisor import MeshPlan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a mesh as `run_mesh` does, with its events as lines on standard output."""
    parser = argparse.ArgumentParser(prog="python -m crystalmesh_common.mesh", description=__doc__)
    parser.add_argument("services", nargs="*", help="services to run; default: all that are installed")
    parser.add_argument("--runtime", choices=RUNTIMES, default=STANDALONE)
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    parser.add_argument("--lock-descriptor", type=int, help="the lock of the mesh, held by who starts this")
    flags = parser.parse_args(arguments)
    home = MeshHome.of_this_user()
    try:
        plan = MeshPlan(select_services(flags.services), flags.runtime, flags.config)
        home.prepare()
        lock = MeshLock(home, inherited=flags.lock_descriptor)
        return run_mesh(home, plan, LineScreen(Console(width=200)), lock)
    except MeshError as error:
        print(f"crystalmesh: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
