"""`python -m crystalmesh_property`: run the property service by itself."""

import sys

from crystalmesh_common.runtime.service import main
from crystalmesh_property.service import SERVICE

if __name__ == "__main__":
    sys.exit(main(SERVICE))
