"""`python -m crystalmesh_client.cli`: the command line where its script is not on PATH."""

from crystalmesh_client.cli import main

if __name__ == "__main__":
    main()
