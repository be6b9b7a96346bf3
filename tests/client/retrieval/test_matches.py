from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_client import AsyncMesh, Failed, Matches, MatchTolerance, Mesh
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.runtime import errors
from tests.conftest import block, silicon, sodium_chloride


async def test_a_known_crystal_is_found_in_any_cell(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """A supercell, slightly stretched, is the material; the same elements in another lattice are new."""
    found = mesh.retrieval.find_matches(block("big", repeat=2))
    assert [match.material_id for match in found] == ["salt"]
    assert found.is_known
    assert found.matches[0].rms_distance_fraction == pytest.approx(0, abs=1e-3)
    assert (found.id, found.formula, found.catalog, found.compared_count) == ("big", "NaCl", "known", 1)
    found = await async_mesh.retrieval.find_matches(to_structure(sodium_chloride(a=5.8)))
    assert found.is_known
    caesium_like = replace(sodium_chloride("other"), cell=3.4 * np.eye(3))
    new = mesh.retrieval.find_matches(caesium_like)
    assert (new.is_known, len(new), new.compared_count) == (False, 0, 1)
    assert "no, of 1 that it could have been" in new._repr_html_()
    assert "salt" in found._repr_html_()


def test_the_tolerance_decides(mesh: Mesh) -> None:
    """A sheared crystal is the material or not, as the tolerances of lengths and angles say."""
    cell = sodium_chloride().cell @ np.array([[1, 0, 0], [0, 1.08, 0], [0, 0, 1.0]])
    sheared = replace(sodium_chloride("sheared"), cell=cell)
    assert mesh.retrieval.find_matches(sheared).is_known
    strict = MatchTolerance(length_fraction=0.01, angle_degrees=0.5)
    assert not mesh.retrieval.find_matches(sheared, tolerance=strict).is_known


async def test_each_crystal_of_a_batch_has_an_outcome(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Known, new, and failed with its reason."""
    twins = replace(silicon("twins"), frac_coords=np.zeros((2, 3)))
    batch = [silicon(), twins, replace(silicon("hot"), numbers=np.array([32, 32]))]
    outcomes = list(mesh.retrieval.find_matches_many(batch, catalog="known"))
    known = {outcome.id: outcome.is_known for outcome in outcomes if isinstance(outcome, Matches)}
    failed = {outcome.id: type(outcome.error) for outcome in outcomes if isinstance(outcome, Failed)}
    assert (known, failed) == ({"Si": True, "hot": False}, {"twins": errors.OverlappingAtomsError})
    assert len([outcome async for outcome in async_mesh.retrieval.find_matches_many(batch)]) == 3
    with pytest.raises(errors.ResourceNotFoundError):
        mesh.retrieval.find_matches(silicon(), catalog="sugar")
