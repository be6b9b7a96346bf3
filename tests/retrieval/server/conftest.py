"""What the tests of the server share."""

from __future__ import annotations

from pathlib import Path

import pytest

from crystalmesh_retrieval.catalog import places


@pytest.fixture(autouse=True)
def _no_shipped_catalogs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests have no catalogs but those that they make."""
    monkeypatch.setattr(places, "SHIPPED", tmp_path / "nothing-shipped")
