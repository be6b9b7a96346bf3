"""Band gaps by the property service, with the model that ships."""

from __future__ import annotations

import numpy as np

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.catalog.material import SourceKind
from crystalmesh_retrieval.starter.labelling import band_gaps_of
from crystalmesh_retrieval.starter.mesh_process import own_property
from tests.retrieval.starter.records import SALT, SILICON, relaxed


def test_gaps_are_predicted_and_say_so() -> None:
    """Salt is an insulator and silicon a semiconductor; what is unlike the training data has no gap."""
    squeezed = Crystal(SALT.cell * 0.3, SALT.numbers, SALT.frac_coords, "squeezed")
    with own_property() as mesh:
        gaps = band_gaps_of(mesh, [relaxed(SALT), relaxed(SILICON), relaxed(squeezed)])
    assert set(gaps) == {SALT.id, SILICON.id}
    assert gaps[SALT.id].value > 3 > gaps[SILICON.id].value
    for gap in gaps.values():
        assert gap.source.kind is SourceKind.PREDICTION
        assert (gap.source.name, len(gap.source.version)) == ("mp-gap", 12)
        assert gap.uncertainty is not None
        assert np.isfinite(gap.uncertainty)
