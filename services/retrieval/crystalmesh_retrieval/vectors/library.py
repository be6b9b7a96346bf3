"""faiss. Its type stubs describe the C++ behind it, not the Python that we call, so it has no types here."""

from __future__ import annotations

from typing import Any

import faiss as _faiss

faiss: Any = _faiss

Ann = Any
"""An index of faiss."""
