"""The command line: `crystalmesh …`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; errors of the mesh become one line on standard error and an exit code."""
    # What gRPC's core would print on standard error, our own line says better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)  # also while imports are still running, before the commands could handle it
    except SystemExit as ended:
        # click and rich end with 1 when the reader of a pipe has seen enough, and that is no failure.
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        _print_nothing_more()
        sys.exit(0)
    except BrokenPipeError:
        _print_nothing_more()
        sys.exit(0)


def _print_nothing_more() -> None:
    """Not at exit either, when Python would flush what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> None:
    from crystalmesh_client.cli.app import app  # noqa: PLC0415
    from crystalmesh_client.cli.exits import exit_code  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import CrystalMeshError  # noqa: PLC0415

    try:
        app()
    except CrystalMeshError as error:
        reason = f" [{error.reason}]" if error.reason else ""
        print(f"crystalmesh: {error}{reason}", file=sys.stderr)
        sys.exit(exit_code(error))
