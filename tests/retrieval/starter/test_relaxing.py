"""Relaxing and labelling by a mesh."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crystalmesh_client import Credentials, Mesh
from crystalmesh_retrieval.catalog.snapshot import open_snapshot
from crystalmesh_retrieval.starter import pipeline
from crystalmesh_retrieval.starter.candidates import candidates
from crystalmesh_retrieval.starter.ledger import read_records
from crystalmesh_retrieval.starter.relaxing import relax_candidates
from tests.conftest import TOKEN, ServiceProcess
from tests.retrieval.starter.records import SALT, SILICON, candidate


@pytest.fixture
def mesh(relaxation: ServiceProcess) -> Iterator[Mesh]:
    with Mesh(relaxation.address, credentials=Credentials(token=TOKEN)) as mesh:
        yield mesh


def test_a_run_goes_on_where_it_stopped_and_a_catalog_comes_of_it(tmp_path: Path, mesh: Mesh) -> None:
    """A result that is there is not computed again, a torn one is, and both are scored against the hull."""
    metals = [one.record() for one in candidates(40) if set(one.crystal.numbers.tolist()) in ({11}, {29})]
    lines = [*metals, candidate(SALT), candidate(SILICON)]
    (tmp_path / pipeline.CANDIDATES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = tmp_path / pipeline.RELAXED
    results.write_text(json.dumps({"id": SILICON.id, "stop": "step limit"}) + '\n{"id": "cm-Na')
    told: list[tuple[int, int]] = []
    relax_candidates(
        mesh, tmp_path / pipeline.CANDIDATES, results, lambda done, total: told.append((done, total))
    )
    records = {record["id"]: record for record in read_records(results)}
    assert set(records) == {line["id"] for line in lines}
    assert len(told) == len(lines) - 1
    assert records[SILICON.id] == {"id": SILICON.id, "stop": "step limit"}
    assert records[SALT.id]["stop"] == "converged"
    assert records[SALT.id]["energy_ev_per_atom"] == pytest.approx(-3.668, abs=0.01)

    said = pipeline.build(tmp_path, tmp_path / "starter")
    materials = {material.id: material for material in open_snapshot(tmp_path / "starter").materials()}
    assert json.loads(said)["dropped"] == {"step limit": 1}
    salt = materials[SALT.id]
    assert "formation energy -2" in salt.property_description
    assert "energy above hull 0.000" in salt.property_description
    assert "no hull comes of this catalog" in (tmp_path / "starter" / pipeline.README).read_text()


def test_a_mesh_of_our_own_is_not_started_for_nothing(tmp_path: Path) -> None:
    """When every candidate has a result there is nothing to do."""
    (tmp_path / pipeline.CANDIDATES).write_text(json.dumps(candidate(SALT)) + "\n")
    (tmp_path / pipeline.RELAXED).write_text(json.dumps({"id": SALT.id, "stop": "failed"}) + "\n")
    pipeline.relax(tmp_path, 1, lambda done, total: pytest.fail("nothing was to be relaxed"))
