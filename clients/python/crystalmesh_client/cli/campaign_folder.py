"""A folder for what a campaign found: crystals, tables of them, the campaign, and a report about it all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crystalmesh_client.cli.campaign_views import tell_results
from crystalmesh_client.cli.outputs import one_line_for_files
from crystalmesh_client.cli.reports import usage_error
from crystalmesh_common.runtime.errors import CrystalMeshError

if TYPE_CHECKING:
    from crystalmesh_client.campaign_candidates import CampaignCandidate
    from crystalmesh_client.campaigns import CampaignResults
    from crystalmesh_client.hulls import PhaseDiagram
    from crystalmesh_client.mesh import Mesh

_MOST_DIAGRAMS = 30
_MOST_DROPPED = 2000
"""Candidates whose reasons to be dropped the report counts."""


class CampaignFolder:
    """A new folder, made before the campaign begins so that it fails then if it must; or an empty one."""

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                usage_error(f"{path} is not empty: give another folder")
        except OSError as error:
            usage_error(f"{path} cannot be made: {error.strerror}")
        self.path = path

    def write(self, results: CampaignResults, mesh: Mesh) -> None:
        """Write all of it. What is left out has a line on standard error."""
        candidates = hits_first(results.candidates)
        files = {
            each.id: f"{place:03d}-{_plain(each.formula)}.cif" for place, each in enumerate(candidates, 1)
        }
        with one_line_for_files(self.path):
            for each in candidates:
                (self.path / files[each.id]).write_text(_head(each) + each.cif, encoding="utf-8")
            self._write_lines(candidates, files)
            campaign = json.dumps(results.campaign.to_dict(), indent=2) + "\n"
            (self.path / "campaign.json").write_text(campaign, encoding="utf-8")
            self._write_parquet(candidates, files)
            self._write_report(results, mesh)

    def _write_lines(self, candidates: Sequence[CampaignCandidate], files: Mapping[str, str]) -> None:
        with (self.path / "results.jsonl").open("w", encoding="utf-8") as lines:
            for each in candidates:
                lines.write(json.dumps({**each.to_dict(), "file": files[each.id]}) + "\n")

    def _write_parquet(self, candidates: Sequence[CampaignCandidate], files: Mapping[str, str]) -> None:
        if find_spec("pyarrow") is None:
            typer.echo("crystalmesh: results.parquet is left out: pip install pyarrow", err=True)
            return
        from crystalmesh_client.cli.campaign_parquet import write_parquet  # noqa: PLC0415 -- needs it

        write_parquet(self.path / "results.parquet", candidates, files)

    def _write_report(self, results: CampaignResults, mesh: Mesh) -> None:
        from crystalmesh_client.reports.campaign_report import write_report  # noqa: PLC0415 -- heavy

        diagrams = dict(_diagrams(results, mesh))
        dropped = mesh.campaigns.candidates(results.campaign.id, states=["rejected"])
        told = [each.message for each in (*results.candidates, *islice(dropped, _MOST_DROPPED))]
        write_report(results.campaign.message, told, self.path / "report.html", diagrams)


def tell_and_keep(
    results: CampaignResults, folder: CampaignFolder | None, mesh: Mesh, *, as_json: bool
) -> None:
    """Print what a campaign has found, and write the folder, also when nobody reads the table to its end."""
    try:
        tell_results(results, as_json=as_json)
    finally:
        if folder is not None:
            folder.write(results, mesh)
    if folder is not None and not as_json:
        typer.echo(f"all of it is in {folder.path}")


def hits_first(candidates: Sequence[CampaignCandidate]) -> list[CampaignCandidate]:
    """Hits by rank, then the others by rank."""
    return sorted(candidates, key=lambda each: (not each.is_hit, each.rank))


def _diagrams(results: CampaignResults, mesh: Mesh) -> Iterator[tuple[str, PhaseDiagram]]:
    """The hulls that the hits lie against, as far as the mesh can tell them."""
    reference = results.campaign.spec.reference
    systems = dict.fromkeys(each.chemical_system for each in results.hits)
    for system in list(systems)[:_MOST_DIAGRAMS]:
        try:
            yield system, mesh.stability.phase_diagram(system, reference=reference)
        except CrystalMeshError as error:
            typer.echo(f"crystalmesh: the report has no hull of {system}: {error}", err=True)


def _head(candidate: CampaignCandidate) -> str:
    """What CIF readers skip: whose crystal it is."""
    facts: dict[str, Any] = {
        "candidate": candidate.id,
        "of campaign": candidate.campaign_id,
        "rank": candidate.rank,
        "state": candidate.state,
    }
    words = ", ".join(f"{name} {value}" for name, value in facts.items())
    return f"# CrystalMesh: {' '.join(words.split())}\n"


def _plain(formula: str) -> str:
    """A formula as part of the name of a file."""
    return "".join(letter for letter in formula if letter.isalnum() or letter in "()+-") or "crystal"
