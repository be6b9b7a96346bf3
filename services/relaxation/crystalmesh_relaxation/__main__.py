"""`python -m crystalmesh_relaxation`: run the relaxation service by itself."""

import os
import sys

# Matrices here are 3 by 3; threads of the linear algebra would only spin on the cores of the evaluators.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from crystalmesh_common.runtime.service import main
from crystalmesh_relaxation.service import SERVICE

if __name__ == "__main__":
    sys.exit(main(SERVICE))
