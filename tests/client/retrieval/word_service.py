"""The real retrieval service with an encoder that counts words: `python -m` runs it as a process."""

from __future__ import annotations

import sys
from pathlib import Path

from crystalmesh_common.runtime.service import Service, main
from crystalmesh_retrieval.catalog import places
from crystalmesh_retrieval.service import NAME, assembled
from crystalmesh_retrieval.settings import RetrievalSettings
from tests.retrieval.server.small import CountingIndexer, WordEncoder

# Not the catalogs that come with the service: counting the words of thousands of materials takes a while.
places.SHIPPED = Path(__file__).parent / "no-catalogs"

SERVICE = Service(
    NAME, RetrievalSettings, lambda given, metrics: assembled(given, metrics, WordEncoder, CountingIndexer())
)

if __name__ == "__main__":
    sys.exit(main(SERVICE))
