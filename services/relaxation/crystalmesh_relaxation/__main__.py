"""`python -m crystalmesh_relaxation`: run the relaxation service by itself."""

import sys

from crystalmesh_common.runtime.service import main
from crystalmesh_relaxation.service import SERVICE

if __name__ == "__main__":
    sys.exit(main(SERVICE))
