"""`python -m crystalmesh_retrieval`: run the retrieval service by itself."""

import sys

from crystalmesh_common.runtime.service import main
from crystalmesh_retrieval.service import SERVICE

if __name__ == "__main__":
    sys.exit(main(SERVICE))
