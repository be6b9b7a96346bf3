"""`python -m crystalmesh_generation.pairs --table PATH --into FOLDER`: pair the crystals of a table."""

import typer

from crystalmesh_generation.pairs.cli import pair

if __name__ == "__main__":
    typer.run(pair)
