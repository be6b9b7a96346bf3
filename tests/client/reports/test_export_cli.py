"""`crystalmesh export`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate
from crystalmesh_client import Mesh
from crystalmesh_client.campaign_candidates import campaign_candidate_from
from crystalmesh_client.cli import main
from crystalmesh_client.optimade_export import crystal_of, optimade_entry
from tests.client.campaigns.hosting import Laboratory, served
from tests.client.conftest import Ended
from tests.client.reports import fluorides


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `crystalmesh export …` in this process."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["crystalmesh", "export", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return Ended(code if isinstance(code, int) else 1, printed.out, printed.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results as `crystalmesh design --out` writes them."""
    lines = (json.dumps(campaign_candidate_from(each).to_dict()) for each in fluorides.candidates()[:10])
    (tmp_path / "results.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "campaign.json").write_text('{"ended": "2026-11-20T09:14:21.000+00:00"}')
    return tmp_path


def attributes(candidate: CampaignCandidate) -> dict[str, Any]:
    crystal = crystal_of(candidate)
    assert crystal is not None
    known: dict[str, Any] = optimade_entry(candidate, crystal)["attributes"]
    return {**known, "last_modified": "2026-11-20T09:14:21Z"}


def test_a_folder_of_results_is_exported(export: Any, folder: Path) -> None:
    """Nothing is lost on the way through results.jsonl; the campaign's end is the time of change."""
    ended = export(folder, "--optimade", "--out", folder / "all.jsonl")
    assert ended.code == 0, ended.err
    assert ended.out.endswith("all.jsonl: 10 structures\n")
    entries = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()[4:]]
    assert [each["id"] for each in entries] == [each.id for each in fluorides.candidates()[:10]]
    for entry, candidate in zip(entries, fluorides.candidates(), strict=False):
        assert entry["attributes"] == attributes(candidate)


def test_json_is_the_answer_of_a_server(export: Any, folder: Path) -> None:
    """Hits alone, where that is asked for."""
    ended = export(folder / "results.jsonl", "--optimade", "--hits", "-o", folder / "hits.json")
    assert ended.code == 0, ended.err
    answer = json.loads((folder / "hits.json").read_text())
    assert answer["meta"]["data_returned"] == len(answer["data"]) == 5


def test_a_campaign_is_exported_by_its_id(export: Any) -> None:
    """From the server, to standard output."""
    laboratory = Laboratory(found=fluorides.candidates()[:3])
    with served(laboratory) as address, Mesh(address) as mesh:
        campaign = mesh.campaigns.create({"elements": ["F"]})
        ended = export(campaign.id, "--optimade", "--address", address)
    assert ended.code == 0, ended.err
    assert [line.get("type") for line in ended.lines][2:] == ["info", "info", *["structures"] * 3]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["camp-1"], "--optimade"),
        (["camp-1", "--optimade", "-o", "found.xml"], ".jsonl or .json"),
        (["broken.jsonl", "--optimade"], "broken.jsonl, line 1, is no candidate"),
        ([".", "--optimade"], "results.jsonl cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_a_line(
    export: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    """No form, another suffix, a file that holds something else, a folder without results."""
    monkeypatch.chdir(tmp_path)
    Path("broken.jsonl").write_text('{"id": "a"}\n')
    ended = export(*arguments)
    assert ended.code == 2
    assert told in " ".join(ended.err.replace("│", "").split())
