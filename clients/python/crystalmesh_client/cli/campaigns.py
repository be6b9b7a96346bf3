"""`crystalmesh campaigns …`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli.campaign_folder import CampaignFolder, tell_and_keep
from crystalmesh_client.cli.campaign_views import (
    IdArgument,
    campaign_table,
    exit_code_of,
    follow,
    one_line,
    target_line,
    tell_results,
)
from crystalmesh_client.cli.reports import AddressOption, JsonOption

if TYPE_CHECKING:
    from crystalmesh_client.campaigns import RunStateName

app = typer.Typer(help="The searches that `crystalmesh design` has begun, and what they have found.")


class State(StrEnum):
    """Where a campaign is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


_STATES: Mapping[State, RunStateName] = {
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.PAUSED: "paused",
    State.FINISHED: "finished",
    State.CANCELLED: "cancelled",
    State.FAILED: "failed",
}

StateOption = Annotated[
    list[State] | None, typer.Option("--state", help="Only in this state; may be repeated.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Most to list, the newest first.")]


@app.callback(invoke_without_command=True)
def campaigns(
    context: typer.Context,
    state: StateOption = None,
    limit: LimitOption = 20,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """The searches that `crystalmesh design` has begun; without a command, a list of them."""
    if context.invoked_subcommand is not None:
        return
    from crystalmesh_client.cli.tables import standard_output  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415

    with Mesh(address) as mesh:
        known = list(islice(mesh.campaigns.list(states=[_STATES[each] for each in state or ()]), limit))
    if as_json:
        for campaign in known:
            typer.echo(json.dumps(campaign.to_dict()))
    elif known:
        standard_output().print(campaign_table(known), markup=False, highlight=False)
    else:
        typer.echo("there are no campaigns" + (" in this state" if state else ""))


@app.command()
def show(
    campaign_id: IdArgument,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """How far a campaign is, and what it was asked for."""
    from crystalmesh_client.cli.campaign_views import campaign_lines  # noqa: PLC0415
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    with Mesh(address) as mesh:
        campaign = mesh.campaigns.get(campaign_id)
    if as_json:
        typer.echo(json.dumps(campaign.to_dict()))
        return
    for line in campaign_lines(campaign):
        typer.echo(line)


@app.command()
def watch(
    campaign_id: IdArgument,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Follow a campaign to its end; Ctrl-C leaves it running. Exit codes are those of `design`."""
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    with Mesh(address) as mesh:
        campaign = mesh.campaigns.get(campaign_id)
        if not as_json:
            typer.echo(f"looking for {target_line(campaign.spec.target)}")
        follow(mesh, campaign, as_json=as_json)
        results = mesh.campaigns.results(campaign_id)
    tell_results(results, as_json=as_json)
    raise typer.Exit(exit_code_of(results.campaign))


@app.command()
def cancel(
    campaign_id: IdArgument,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Stop a campaign; what it has found stays. One that has ended is left as it is."""
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    with Mesh(address) as mesh:
        campaign = mesh.campaigns.cancel(campaign_id)
    if as_json:
        typer.echo(json.dumps(campaign.to_dict()))
    else:
        typer.echo(f"{campaign.id} {one_line(campaign.standing)}, hits {campaign.hits}")


@app.command()
def delete(
    campaign_id: IdArgument,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Remove a campaign that has ended, with all that it has found."""
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    with Mesh(address) as mesh:
        mesh.campaigns.delete(campaign_id)
    typer.echo(json.dumps({"deleted": campaign_id}) if as_json else f"deleted {campaign_id}")


@app.command()
def results(
    campaign_id: IdArgument,
    into: Annotated[
        Path | None,
        typer.Option("--into", "--out", "-o", help="New folder for all of it, as of `crystalmesh design`."),
    ] = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """What a campaign has found, also while it runs."""
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    folder = None if into is None else CampaignFolder(into)
    with Mesh(address) as mesh:
        found = mesh.campaigns.results(campaign_id)
        tell_and_keep(found, folder, mesh, as_json=as_json)
