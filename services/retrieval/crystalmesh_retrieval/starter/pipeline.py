"""The stages of a build, each of which goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import ReferenceIncompleteError
from crystalmesh_retrieval.catalog.material import Material
from crystalmesh_retrieval.catalog.snapshot import open_snapshot
from crystalmesh_retrieval.starter.building import build_catalog
from crystalmesh_retrieval.starter.candidates import write_candidates
from crystalmesh_retrieval.starter.labelling import band_gaps_of, labels_of, write_union
from crystalmesh_retrieval.starter.ledger import read_records
from crystalmesh_retrieval.starter.mesh_process import own_property, own_relaxation
from crystalmesh_retrieval.starter.own_hull import HullComparison, compare
from crystalmesh_retrieval.starter.relaxing import relax_candidates
from crystalmesh_retrieval.starter.report import BuildReport
from crystalmesh_retrieval.starter.sieve import sound, worth_keeping

CANDIDATES, RELAXED, REPORT, README = "candidates.jsonl", "relaxed.jsonl", "report.json", "README.md"


def candidates(work: Path, count: int) -> None:
    """Write the crystals to compute, unless as many are there."""
    write_candidates(work / CANDIDATES, count)


def relax(work: Path, workers: int, on_result: Callable[[int, int], None]) -> None:
    """Relax what has no result yet, on a mesh of our own; nothing is started where all have one."""
    wanted = {record["id"] for record in read_records(work / CANDIDATES)}
    if wanted <= {record["id"] for record in read_records(work / RELAXED)}:
        return
    with own_relaxation(workers=workers) as mesh:
        relax_candidates(mesh, work / CANDIDATES, work / RELAXED, on_result)


def build(work: Path, out: Path) -> str:
    """The catalog of all that is relaxed so far, with a README; answers what came of it in a line."""
    wanted = {record["id"]: record for record in read_records(work / CANDIDATES)}
    results = [record for record in read_records(work / RELAXED) if record["id"] in wanted]
    fine = sound(results)
    union = write_union(fine.records, work)
    with own_relaxation("--references", str(union)) as mesh:
        labels = labels_of(mesh, fine.records)
    with own_property() as mesh:
        gaps = band_gaps_of(mesh, fine.records)
    labels = {key: replace(each, band_gap=gaps.get(key)) for key, each in labels.items()}
    kept = worth_keeping(fine.records, labels)
    manifest = build_catalog(wanted, kept.records, labels, out)
    materials = list(open_snapshot(out).materials())
    dropped = dict(fine.reasons + kept.reasons)
    own_hull = _own_hull(materials)
    report = BuildReport(len(wanted), len(results), dropped, materials, own_hull, manifest.size_bytes)
    write_file(out / README, report.markdown().encode())
    figures = {
        "candidates": len(wanted),
        "results": len(results),
        "materials": len(materials),
        "dropped": dropped,
    }
    write_file(
        work / REPORT, json.dumps({**figures, "own_hull": own_hull and vars(own_hull)}, indent=2).encode()
    )
    return json.dumps(figures)


def _own_hull(materials: Sequence[Material]) -> HullComparison | None:
    try:
        return compare(materials)
    except ReferenceIncompleteError:
        return None
