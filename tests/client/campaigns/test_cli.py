"""`crystalmesh design` and `crystalmesh campaigns …`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from crystalmesh_client import Mesh
from crystalmesh_client.cli import main
from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_common.runtime import errors
from tests.client.campaigns import story
from tests.client.campaigns.hosting import Laboratory, served
from tests.client.conftest import Ended
from tests.conftest import until

FUNNELS = (
    "retrieve 20 › generate 1 › validate 1 › screen 1 › relax 1 › score 1 › novelty 1 › rank 1",
    "retrieve 20 › generate 3 › validate 3 › screen 2 › relax 2 › score 2 › novelty 2 › rank 2",
)
ASKED = ("--elements", "Na,Cl", "--property", "band_gap_ev=2..6")


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory()


@pytest.fixture
def address(laboratory: Laboratory) -> Iterator[str]:
    with served(laboratory) as address:
        yield address


@pytest.fixture
def crystalmesh(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str) -> Any:
    """Runs `crystalmesh …` in this process."""
    monkeypatch.setenv("CRYSTALMESH_ADDRESS", address)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["crystalmesh", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return Ended(code if isinstance(code, int) else 1, printed.out, printed.err)

    return run


def test_a_design_is_told_line_by_line(crystalmesh: Any) -> None:
    """In a pipe: what was understood, what happens, and a table of what came through all stages."""
    ended = crystalmesh("design", *ASKED)
    assert (ended.code, ended.err) == (0, "")
    lines = [" ".join(line.split()) for line in ended.out.splitlines() if line]
    assert lines[:2] == ["looking for with Na, Cl; band_gap_ev 2..6", "campaign camp-1, on the server"]
    told = [line.split(" ", 1)[1] for line in lines if line[2:3] == ":"]
    assert told == [
        "started by tests",
        "round 1: near potassium chloride",
        "hit 1: NaCl (c-hit), gap eV 5.10 ± 0.39, above hull eV/atom 0.012",
        "round 1 is over: hits so far 1, candidates 1",
        "paused, waits for relaxation: connection refused",
        "goes on, relaxation is back",
        "round 2: near potassium chloride",
        "round 2 is over: hits so far 1, candidates 4, nothing better",
        "finished: too many rounds in a row improved nothing",
    ]
    assert all(funnel in lines for funnel in FUNNELS)
    table = lines.index("rank formula hit score above hull eV/atom gap eV new from candidate but")
    assert lines[table + 1] == "1 NaCl yes 0.930 0.012 5.10 ± 0.39 yes mp-22865 (KCl) c-hit"
    assert lines[table + 2].endswith("c-ranked band gap 1.2 eV, asked for 2 to 6")
    assert lines[-1] == "stability against mp20-tiny, new to mp20"


def test_words_and_options_make_a_target(crystalmesh: Any, laboratory: Laboratory) -> None:
    """Options overrule what was understood of the words."""
    words = "a cubic lithium oxide with a gap of 2-4 eV"
    ended = crystalmesh(
        *("design", words, "--property", "band_gap_ev=3..", "--space-group", "62", "--no-follow"),
        *("--hits", "3", "--time", "1m30s", "--candidates", "40", "--evaluations", "500", "--seed", "7"),
        *("--patience", "2", "--planner", "bandit", "--generator", "ionic-substitution"),
        *("--catalog", "mine", "--reference", "hull", "--without-retrieval", "--without-transition"),
        *("--model", "writer", "--property-model", "gap", "--potential", "chgnet", "--name", "oxide"),
    )
    assert ended.code == 0, ended.err
    assert "crystalmesh campaigns watch camp-1" in ended.err
    (spec,) = laboratory.specs.values()
    target = spec.target
    assert (list(target.required_elements), target.free_text) == ([3, 8], words)
    assert [(each.min, each.HasField("max")) for each in target.properties] == [(3, False)]
    assert (target.space_group_number, target.WhichOneof("symmetry")) == (62, "space_group_number")
    assert (spec.hits_wanted, spec.budget.max_wall_time.seconds, spec.budget.max_candidates) == (3, 90, 40)
    assert (spec.budget.max_evaluations, spec.seed, spec.max_rounds_without_progress) == (500, 7, 2)
    assert (list(spec.generators), spec.planner, spec.display_name) == ([2], "bandit", "oxide")
    assert (spec.catalog, spec.reference, spec.models.potential) == ("mine", "hull", "chgnet")
    assert (spec.models.generation, spec.models.property) == ("writer", "gap")
    assert (spec.skip_retrieval, spec.skip_transition) == (True, True)


def test_json_is_events_then_candidates_then_the_campaign(crystalmesh: Any) -> None:
    """One object a line, each with its kind, and nothing else."""
    ended = crystalmesh("design", "--json", *ASKED)
    assert (ended.code, ended.err) == (0, "")
    kinds = [line["kind"] for line in ended.lines]
    assert kinds[:2] == ["created", "started"]
    assert kinds[-4:] == ["finished", "candidate", "candidate", "campaign"]
    assert ended.lines[-1]["progress"]["hits"] == 1
    assert ended.lines[-3]["id"] == story.HIT
    (line,) = crystalmesh("design", "--json", "--no-follow", *ASKED).lines
    assert (line["kind"], line["id"]) == ("campaign", "camp-2")


def test_a_folder_has_all_of_it(crystalmesh: Any, tmp_path: Path) -> None:
    """A CIF for each, hits first, tables for programs, the campaign and a report; never overwritten."""
    folder = tmp_path / "new" / "salts"
    ended = crystalmesh("design", *ASKED, "--into", folder)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith(f"all of it is in {folder}\n")
    assert sorted(path.name for path in folder.iterdir()) == [
        "001-NaCl.cif",
        "002-NaCl.cif",
        "campaign.json",
        "report.html",
        "results.jsonl",
        "results.parquet",
    ]
    (crystal,) = read_crystals(folder / "001-NaCl.cif")
    assert len(crystal) == 2
    assert (folder / "001-NaCl.cif").read_text().startswith("# CrystalMesh: candidate c-hit")
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [(line["id"], line["file"]) for line in lines] == [
        (story.HIT, "001-NaCl.cif"),
        (story.RANKED, "002-NaCl.cif"),
    ]
    table = parquet.read_table(folder / "results.parquet").to_pylist()
    assert [row["is_hit"] for row in table] == [True, False]
    assert (table[0]["band_gap_ev"], table[0]["file"]) == (pytest.approx(5.1), "001-NaCl.cif")
    assert table[1]["misses"] == ["band gap 1.2 eV, asked for 2 to 6"]
    assert json.loads((folder / "campaign.json").read_text())["stop_reason"] == "no_progress"
    assert "NaCl" in (folder / "report.html").read_text()
    again = crystalmesh("design", *ASKED, "--into", folder)
    assert (again.code, again.err) == (2, f"crystalmesh: {folder} is not empty: give another folder\n")


def test_a_folder_may_be_asked_for_later(crystalmesh: Any, laboratory: Laboratory, tmp_path: Path) -> None:
    """Also for a campaign that has found nothing; its tables have no rows."""
    laboratory.found = []
    crystalmesh("design", "--no-follow", *ASKED)
    ended = crystalmesh("campaigns", "results", "camp-1", "--into", tmp_path / "salts")
    assert (ended.code, ended.err) == (0, "")
    assert "camp-1 queued" in ended.out
    assert parquet.read_table(tmp_path / "salts" / "results.parquet").num_rows == 0
    assert (tmp_path / "salts" / "report.html").exists()


@pytest.mark.parametrize(
    ("last", "code", "told"),
    [
        (story.finished("TIME_BUDGET", hits=0), 7, "finished: the time of the budget is over"),
        (story.finished("CANCELLED", state="CANCELLED", hits=0), 7, "cancelled"),
        (story.finished("FAILED", state="FAILED", hits=0, why="no catalog"), 4, "failed: no catalog"),
        (story.finished("FAILED", state="FAILED", hits=0), 1, "failed: it could not go on"),
        (story.finished("FAILED", state="FAILED", why="no catalog"), 0, "failed: no catalog"),
    ],
)
def test_exit_codes_say_how_it_ended(
    crystalmesh: Any, laboratory: Laboratory, last: Any, code: int, told: str
) -> None:
    """Whatever the end, hits are hits."""
    laboratory.script = [*story.until_the_pause(), last]
    ended = crystalmesh("design", *ASKED)
    assert ended.code == code
    assert f"camp-1 {told}" in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "say what to look for"),
        (["something nice"], 2, "says nothing"),
        (["--elements", "Xx"], 2, "Xx is no element"),
        (["--formula", "Na", "--time", "soon"], 2, "no time"),
        (["--formula", "Na", "--hits", "0"], 2, "--hits"),
        (["--formula", "Na", "--generator", "magic"], 2, "magic"),
        (["--formula", "Na", "--into", "x", "--no-follow"], 2, "--no-follow"),
        (["--property", "band_gap_ev=4..2"], 2, "at least 4 and at most 2"),
    ],
)
def test_what_cannot_be_is_told(
    crystalmesh: Any, laboratory: Laboratory, arguments: list[str], code: int, told: str
) -> None:
    """In one line, before a campaign is made."""
    ended = crystalmesh("design", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    assert not laboratory.specs


def test_what_the_server_refuses_is_told(crystalmesh: Any, laboratory: Laboratory) -> None:
    """In one line with its reason."""
    laboratory.refusal = errors.ContradictoryTargetError("Na is required and forbidden")
    ended = crystalmesh("design", "--elements", "Na", "--without", "Na")
    assert (ended.code, ended.err) == (
        3,
        "crystalmesh: Na is required and forbidden [CONTRADICTORY_TARGET]\n",
    )
    for command in ("show", "watch", "cancel", "delete", "results"):
        ended = crystalmesh("campaigns", command, "nowhere")
        assert (ended.code, ended.out) == (3, "")
        assert ended.err == "crystalmesh: there is no campaign nowhere [RESOURCE_NOT_FOUND]\n"


def test_campaigns_are_listed_shown_cancelled_and_deleted(crystalmesh: Any) -> None:
    """From the command line alone."""
    assert crystalmesh("campaigns").out == "there are no campaigns\n"
    crystalmesh("design", "--no-follow", "--name", "first", *ASKED)
    crystalmesh("design", "--name", "second", *ASKED)
    rows = [" ".join(line.split()) for line in crystalmesh("campaigns").out.splitlines()]
    assert rows[0] == "campaign state hits candidates at work created looks for"
    assert [row.split()[0] for row in rows[1:]] == ["camp-2", "camp-1"]
    assert [line["id"] for line in crystalmesh("campaigns", "--json", "--state", "queued").lines] == [
        "camp-1"
    ]
    assert [line["id"] for line in crystalmesh("campaigns", "--json", "--limit", "1").lines] == ["camp-2"]
    shown = crystalmesh("campaigns", "show", "camp-2").out
    assert "looking for: with Na, Cl; band_gap_ev 2..6" in shown
    assert "state: finished: too many rounds in a row improved nothing" in shown
    refused = crystalmesh("campaigns", "delete", "camp-1")
    assert (refused.code, "cancel it first" in refused.err) == (3, True)
    assert crystalmesh("campaigns", "cancel", "camp-1").out == "camp-1 cancelled, hits 1\n"
    assert crystalmesh("campaigns", "delete", "camp-1").out == "deleted camp-1\n"
    (left,) = crystalmesh("campaigns", "--json").lines
    assert left["id"] == "camp-2"
    watched = crystalmesh("campaigns", "watch", "camp-2")
    assert (watched.code, "hit 1: NaCl" in watched.out) == (0, True)


def test_a_terminal_has_a_picture_that_follows(address: str) -> None:
    """Drawn over and over, with the table below it at the end."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "CRYSTALMESH_ADDRESS": address, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "crystalmesh_client.cli", "design", *ASKED]
    shown = b""
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            with suppress(OSError):  # how a terminal ends that nobody has open any more
                while piece := os.read(ours, 65_536):
                    shown += piece
            code = process.wait(60)
        finally:
            process.kill()
            os.close(ours)
    text = " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", " ", shown.decode()).split())
    assert code == 0, text
    picture = text.index("stage entered passed dropped in it yield")
    assert picture < text.index("best so far: NaCl hit") < text.index("rank formula hit score")
    assert "finished round 2 · hits 1 of 10 · candidates 4 · 26 evaluations · 0:40" in text


def test_ctrl_c_leaves_the_campaign_running(laboratory: Laboratory, address: str, tmp_path: Path) -> None:
    """And says how to come back, for the folder, too; the server goes on."""
    laboratory.waits, laboratory.after = True, 4
    command = [
        sys.executable,
        "-m",
        "crystalmesh_client.cli",
        "design",
        *ASKED,
        "--into",
        str(tmp_path / "x"),
    ]
    environment = {**os.environ, "CRYSTALMESH_ADDRESS": address}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            until(lambda: bool(laboratory.watched_after), "a watch")
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "the campaign camp-1 goes on on the server" in told
    assert f"crystalmesh campaigns results camp-1 --into {tmp_path / 'x'}" in told
    assert "crystalmesh campaigns cancel camp-1" in told
    assert "Traceback" not in told
    with Mesh(address) as mesh:
        assert mesh.campaigns.get("camp-1").state in {"queued", "running"}
