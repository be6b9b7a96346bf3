"""`python -m crystalmesh_generation`: run the generation service by itself."""

import sys

from crystalmesh_common.runtime.service import main
from crystalmesh_generation.service import SERVICE

if __name__ == "__main__":
    sys.exit(main(SERVICE))
