"""Where benchmarks and training find data sets, and what to say when one is missing."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "CRYSTALMESH_DATA"
DEFAULT = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

PUBLISHED = {
    "mp20": "MP-20, with CDVAE (github.com/txie-93/cdvae) and MatterGen (github.com/microsoft/mattergen)",
    "matbench_mp_gap.parquet": "MatBench v0.1 `matbench_mp_gap` (matbench.materialsproject.org)",
    "mp_elastic.parquet": "Materials Project elasticity (Sci. Data 2015, materialsproject.org)",
    "mp20_hull.parquet": "formation energies distributed with MatterGen (github.com/microsoft/mattergen)",
    "mp_hull.parquet": "MP-2018.6.1 of MEGNet (Chem. Mater. 2019) and Automatminer's MP-2018 table",
    "mp_properties.parquet": "MP-2018 properties with CrysXPP (npj Comput. Mater. 2022) and Automatminer",
    "mlip": "mlearn (github.com/materialsvirtuallab/mlearn), revised MD17 (materialscloud:wy-kn)",
}


def dataset(name: str) -> Path:
    """The path of a data set; FileNotFoundError says in one line what is missing and who publishes it."""
    root = Path(os.environ.get(VARIABLE) or DEFAULT)
    path = root / name
    if not path.exists():
        source = PUBLISHED[Path(name).parts[0]]
        raise FileNotFoundError(f"{name} is not under {VARIABLE}={root}; it is published as {source}")
    return path
