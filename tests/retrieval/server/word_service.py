"""The retrieval service with the encoder that counts words, as a process: `python -m` runs it."""

from __future__ import annotations

import sys

from crystalmesh_common.runtime.service import Service, main
from crystalmesh_retrieval.search.indexer import CatalogIndexer
from crystalmesh_retrieval.service import NAME, assembled
from crystalmesh_retrieval.settings import RetrievalSettings
from tests.retrieval.server.small import WordEncoder

SERVICE = Service(
    NAME,
    RetrievalSettings,
    lambda given, metrics: assembled(given, metrics, WordEncoder, CatalogIndexer(threads=1)),
)

if __name__ == "__main__":
    sys.exit(main(SERVICE))
