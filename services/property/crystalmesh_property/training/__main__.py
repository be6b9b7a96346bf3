"""`python -m crystalmesh_property.training CONFIG …`: the same as `crystalmesh train property`."""

import typer

from crystalmesh_property.training.cli import train

if __name__ == "__main__":
    typer.run(train)
