"""`python -m crystalmesh_generation.transitions`: have transitions written, without the client."""

import typer

from crystalmesh_generation.transitions.cli import write

if __name__ == "__main__":
    typer.run(write)
