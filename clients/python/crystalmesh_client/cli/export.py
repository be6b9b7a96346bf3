"""`crystalmesh export CAMPAIGN --optimade`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli.outputs import one_line_for_files
from crystalmesh_client.cli.reports import AddressOption, usage_error

if TYPE_CHECKING:
    from datetime import datetime

    from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate

_SUFFIXES = (".jsonl", ".json")


def _file(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in _SUFFIXES:
        raise typer.BadParameter(f"{path.name} must end in {' or '.join(_SUFFIXES)}")
    return path


OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        callback=_file,
        help="FILE.jsonl for a database in lines, FILE.json for the answer of a server. Default: lines, on "
        "standard output.",
    ),
]


def export(
    campaign: Annotated[
        str, typer.Argument(metavar="ID|FOLDER|FILE", help="A campaign, or its folder or results.jsonl.")
    ],
    optimade: Annotated[bool, typer.Option("--optimade", help="As OPTIMADE structures.")] = False,  # noqa: FBT002
    hits: Annotated[bool, typer.Option("--hits", help="Only hits, not all that are ranked.")] = False,  # noqa: FBT002
    out: OutOption = None,
    address: AddressOption = None,
) -> None:
    """Write what a campaign found in a form that other databases and tools read.

    OPTIMADE structures hold the relaxed crystals. Names of our values begin with _crystalmesh_, and an
    entry beside the structures tells what each means and in which unit. A file that is there is replaced.
    """
    if not optimade:
        usage_error("say in which form: --optimade")
    path = Path(campaign)
    candidates, changed = _read(path) if path.exists() else _ask(campaign, address)
    if hits:
        candidates = [each for each in candidates if _is_hit(each)]
    _write(candidates, changed, out)


def _read(path: Path) -> tuple[Sequence[CampaignCandidate], datetime]:
    from crystalmesh_client.cli.result_lines import read_results  # noqa: PLC0415 -- so that --help is quick

    return read_results(path)


def _ask(campaign_id: str, address: str | None) -> tuple[Sequence[CampaignCandidate], datetime]:
    from datetime import UTC, datetime  # noqa: PLC0415 -- as above

    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- as above

    with Mesh(address) as mesh:
        results = mesh.campaigns.results(campaign_id)
    changed = results.campaign.ended or datetime.now(UTC)
    return [each.message for each in results.candidates], changed


def _is_hit(candidate: CampaignCandidate) -> bool:
    from crystalmesh.agent.v1 import campaign_candidate_pb2  # noqa: PLC0415 -- as above

    return candidate.state == campaign_candidate_pb2.CANDIDATE_STATE_HIT


def _write(candidates: Sequence[CampaignCandidate], changed: datetime, out: Path | None) -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 -- as above

    from crystalmesh_client.optimade_export import (  # noqa: PLC0415 -- as above
        crystal_of,
        optimade_lines,
        optimade_response,
    )

    now = datetime.now(UTC)
    if out is None:
        for line in optimade_lines(candidates, written=now, last_modified=changed):
            typer.echo(line)
        return
    if out.suffix.lower() == ".json":
        answer = optimade_response(candidates, written=now, last_modified=changed)
        text = json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n"
    else:
        text = "".join(f"{line}\n" for line in optimade_lines(candidates, written=now, last_modified=changed))
    with one_line_for_files(out):
        out.write_text(text, encoding="utf-8")
    exported = sum(crystal_of(each) is not None for each in candidates)
    left_out = len(candidates) - exported
    note = f", {left_out} without a crystal left out" if left_out else ""
    typer.echo(f"{out}: {exported} structure{'' if exported == 1 else 's'}{note}")
