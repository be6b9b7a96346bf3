from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.graphs.packing import pack
from crystalmesh_property.properties import Property
from crystalmesh_property.training.hull import add_hull_distances
from crystalmesh_relaxation.stability.tables import ReferenceFileError
from tests.property.crystals import salts_table

ENERGIES = [-1.0, -1.5, None, -0.4]
DISTANCES = [None, None, None, 0.25]


@pytest.fixture
def pool(tmp_path: Path) -> GraphPool:
    """Two tables of LiF, NaF, KF and RbF: one to learn from, one to judge."""
    tables = [
        pack(
            salts_table(
                tmp_path / f"{name}.parquet",
                range(start, start + 4),
                formation_energy_ev_per_atom=ENERGIES,
                energy_above_hull_ev_per_atom=DISTANCES,
            ),
            tmp_path / f"{name}.graphs",
        )
        for name, start in (("train", 0), ("test", 49))
    ]
    return GraphPool(tables)


def entries(path: Path, **energies: float) -> Path:
    rows = [
        {"id": formula, "formula": formula, "formation_energy_ev_per_atom": energy}
        for formula, energy in energies.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_missing_distances_of_what_is_learnt_from(pool: GraphPool, tmp_path: Path) -> None:
    """They are filled in from formation energies, none below zero; labels that are there or judged stay."""
    table = entries(tmp_path / "hull.parquet", Li2F2=-1.25, NaF=-1.25, RbF=-1.0)
    assert add_hull_distances(pool, table) == 2
    labels = pool.labels[:, list(Property).index(Property.ENERGY_ABOVE_HULL)]
    np.testing.assert_allclose(labels[:4], [0.25, 0.0, np.nan, 0.25], atol=1e-6)
    np.testing.assert_array_equal(labels[4:], np.array([np.nan, np.nan, np.nan, 0.25], dtype=np.float32))


def test_an_element_without_an_entry_stays_unknown(pool: GraphPool, tmp_path: Path) -> None:
    """No distance is made up where the hull says nothing of an element."""
    assert add_hull_distances(pool, entries(tmp_path / "hull.parquet", NaF=-1.25)) == 1


def test_a_table_without_entries_is_refused(pool: GraphPool, tmp_path: Path) -> None:
    """What is no table of entries is named."""
    (tmp_path / "hull.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReferenceFileError, match=r"hull\.parquet is no table of entries"):
        add_hull_distances(pool, tmp_path / "hull.parquet")
