"""`python -m crystalmesh_common.runtime.ray`: run services on a Ray Serve of this machine."""

import sys

from crystalmesh_common.runtime.ray.host import main

if __name__ == "__main__":
    sys.exit(main())
