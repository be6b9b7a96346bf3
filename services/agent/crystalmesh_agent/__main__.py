"""`python -m crystalmesh_agent`: run the agent service by itself."""

import sys

from crystalmesh_agent.service import SERVICE
from crystalmesh_common.runtime.service import main

if __name__ == "__main__":
    sys.exit(main(SERVICE))
