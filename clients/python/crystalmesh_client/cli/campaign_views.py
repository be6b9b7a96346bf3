"""How campaigns and their results are shown: following one, tables, and lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli import exits
from crystalmesh_client.cli.durations import in_minutes

if TYPE_CHECKING:
    from rich.table import Table

    from crystalmesh_client.campaign_candidates import CampaignCandidate
    from crystalmesh_client.campaigns import Campaign, CampaignResults
    from crystalmesh_client.conditions import Target
    from crystalmesh_client.mesh import Mesh

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Of the campaign.")]

_ROWS = 20
_HULL = "energy_above_hull_ev_per_atom"


def follow(mesh: Mesh, campaign: Campaign, *, as_json: bool, then: str = "") -> None:
    """Show a campaign from its first event to its last.

    Whatever ends this before, the campaign goes on, and how to come back is told. `then` is an option of
    `campaigns results` that does what was left to be done.
    """
    from crystalmesh_client.cli.campaign_screens import screen_for  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.cli.campaign_story import CampaignStory  # noqa: PLC0415

    story = CampaignStory(campaign)
    with _leaving(campaign, then):
        screen = screen_for(story, as_json=as_json)
        try:
            with closing(mesh.campaigns.watch(campaign.id)) as events:
                for event in events:
                    story.take(event)
                    screen.show(event)
        finally:
            screen.close()


@contextmanager
def _leaving(campaign: Campaign, then: str) -> Iterator[None]:
    from crystalmesh_common.runtime.errors import UnavailableError  # noqa: PLC0415

    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nthe campaign {campaign.id} goes on on the server", err=True)
        tell_how_to_come_back(campaign.id, then)
        raise typer.Exit(exits.INTERRUPTED) from None
    except UnavailableError:
        typer.echo(f"lost the server; as far as it was known, the campaign {campaign.id} goes on", err=True)
        tell_how_to_come_back(campaign.id, then)
        raise


def tell_how_to_come_back(campaign_id: str, then: str = "") -> None:
    """The commands for a campaign that runs, on standard error."""
    commands = {
        f"watch {campaign_id}": "follows it",
        f"results {campaign_id}{then}": "brings what it has found so far",
        f"cancel {campaign_id}": "stops it",
    }
    width = max(map(len, commands))
    for command, effect in commands.items():
        typer.echo(f"  crystalmesh campaigns {command:<{width}}  # {effect}", err=True)


def one_line(text: str) -> str:
    """Words of others as one line, without what would steer a terminal."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def tell_results(results: CampaignResults, *, as_json: bool) -> None:
    """The ranked candidates and how the campaign stands, as a table or as lines of JSON."""
    campaign = results.campaign
    if as_json:
        for each in results:
            typer.echo(json.dumps({"kind": "candidate", **each.to_dict()}))
        typer.echo(json.dumps({"kind": "campaign", **campaign.to_dict()}))
        return
    from crystalmesh_client.cli.tables import standard_output  # noqa: PLC0415 -- rich is slow to import

    if results.candidates:
        console = standard_output()
        console.print()
        console.print(candidate_table(campaign, results.candidates[:_ROWS]), markup=False, highlight=False)
    more = len(results.candidates) - _ROWS
    if more > 0:
        typer.echo(f"and {more} more")
    typer.echo(f"\n{campaign.id} {one_line(campaign.standing)}")
    for line in _sums(campaign):
        typer.echo(line)


def exit_code_of(campaign: Campaign) -> int:
    """0 with hits; why it failed; else that nothing was found."""
    if campaign.hits:
        return exits.OK
    if campaign.failure is not None:
        return exits.exit_code(campaign.failure)
    return exits.FAILED if campaign.state == "failed" else exits.NO_HIT


def candidate_table(campaign: Campaign, candidates: Sequence[CampaignCandidate]) -> Table:
    """A row a candidate; a column for stability and for each property that was asked for."""
    from crystalmesh_client.cli.tables import plain_table  # noqa: PLC0415 -- as above
    from crystalmesh_client.properties import SHORT_NAMES  # noqa: PLC0415

    names = list(dict.fromkeys([_HULL, *_asked_for(campaign.spec.target)]))
    misses = any(each.target_fit and each.target_fit.misses for each in candidates)
    shown = (SHORT_NAMES.get(name, name) for name in names)
    columns = ["rank", "formula", "hit", "score", *shown, "new", "from", "candidate"]
    table = plain_table(*columns, *(["but"] if misses else []))
    for column in table.columns:
        column.min_width = None
    for each in candidates:
        fit = each.target_fit
        cells = [str(each.rank), each.formula, "yes" if each.is_hit else ""]
        cells += ["" if fit is None else f"{fit.score:.3f}", *map(each.known, names)]
        cells += [_novelty(each), "" if each.starting_material is None else str(each.starting_material)]
        cells += [each.id, *(["; ".join(fit.misses) if fit else ""] if misses else [])]
        table.add_row(*cells)
    return table


def campaign_table(campaigns: Iterable[Campaign]) -> Table:
    """A row a campaign."""
    from crystalmesh_client.cli.tables import plain_table  # noqa: PLC0415 -- as above

    table = plain_table("campaign", "state", "hits", "candidates", "at work", "created", "looks for")
    for each in campaigns:
        table.add_row(
            each.id,
            each.state,
            f"{each.hits} of {each.spec.hits}",
            f"{each.progress.candidates:,}",
            in_minutes(each.progress.seconds),
            "" if each.created is None else each.created.astimezone().strftime("%Y-%m-%d %H:%M"),
            one_line(each.name),
        )
    return table


def target_line(target: Target) -> str:
    """What counts of a target, in words; the free text is for models alone."""
    from crystalmesh_client.cli.generate import in_words  # noqa: PLC0415 -- beside its only use

    return one_line(in_words(replace(target, free_text="")))


def _asked_for(target: Target) -> list[str]:
    from crystalmesh_client.properties import PROPERTY_NAMES  # noqa: PLC0415 -- so that --help is quick

    return [name for name in PROPERTY_NAMES if getattr(target, name) is not None]


def _novelty(candidate: CampaignCandidate) -> str:
    known = candidate.novelty
    if known is None:
        return ""
    return "yes" if known.is_new else (known.matched_material_id or known.matched_candidate_id or "no")


def _sums(campaign: Campaign) -> Iterator[str]:
    progress, spec = campaign.progress, campaign.spec
    yield (
        f"hits {progress.hits}, candidates {progress.candidates:,}, rounds {progress.rounds},"
        f" evaluations {progress.evaluations:,}, {in_minutes(progress.seconds)} at work"
    )
    if progress.funnel:
        yield progress.funnel
    yield f"stability against {spec.reference}, new to {spec.catalog}"


def campaign_lines(campaign: Campaign) -> Iterator[str]:
    """All about a campaign, for people."""
    spec, budget = campaign.spec, campaign.spec.budget
    limits = {
        "candidates": budget.max_candidates,
        "time": None if budget.max_seconds is None else in_minutes(budget.max_seconds),
        "evaluations": budget.max_evaluations,
    }
    models = (spec.generation_model, spec.property_model, spec.potential)
    facts = {
        "campaign": campaign.id,
        "name": spec.name,
        "looking for": target_line(spec.target),
        "in words": spec.target.free_text,
        "state": campaign.standing,
        "hits wanted": str(spec.hits),
        "budget": ", ".join(f"{name} {limit}" for name, limit in limits.items() if limit is not None),
        "catalog": spec.catalog,
        "reference": spec.reference,
        "generators": ", ".join(spec.generators).replace("_", " "),
        "models": ", ".join(filter(None, models)),
        "planner": spec.planner,
        "seed": str(spec.seed),
        "without": ", ".join(
            name
            for name, skipped in (("retrieval", spec.skip_retrieval), ("transition", spec.skip_transition))
            if skipped
        ),
        "created": ""
        if campaign.created is None
        else campaign.created.astimezone().isoformat(" ", "seconds"),
    }
    yield from (f"{name}: {one_line(fact)}" for name, fact in facts.items() if fact)
    yield from _sums(campaign)
