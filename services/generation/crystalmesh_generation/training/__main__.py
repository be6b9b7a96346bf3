"""`python -m crystalmesh_generation.training`: the command without the client."""

import typer

from crystalmesh_generation.training.cli import train

if __name__ == "__main__":
    typer.run(train)
