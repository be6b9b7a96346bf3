"""`crystalmesh design WORDS`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.campaign_folder import CampaignFolder, tell_and_keep
from crystalmesh_client.cli.campaign_views import (
    exit_code_of,
    follow,
    target_line,
    tell_how_to_come_back,
)
from crystalmesh_client.cli.durations import seconds_of_text
from crystalmesh_client.cli.filters import (
    ChemicalSystemOption,
    ElementsOption,
    FormulaOption,
    OnlyElementsOption,
    PropertyOption,
)
from crystalmesh_client.cli.generate import SpaceGroupOption, System, WithoutOption, target_of
from crystalmesh_client.cli.reports import AddressOption, JsonOption, usage_error

if TYPE_CHECKING:
    from crystalmesh_client.campaign_specs import CampaignGeneratorName, CampaignSettings
    from crystalmesh_client.campaigns import Campaign
    from crystalmesh_client.conditions import Target


class CampaignMaker(StrEnum):
    """What may make candidates."""

    LANGUAGE_MODEL = "language-model"
    IONIC_SUBSTITUTION = "ionic-substitution"


GENERATORS: Mapping[CampaignMaker, CampaignGeneratorName] = {
    CampaignMaker.LANGUAGE_MODEL: "language_model",
    CampaignMaker.IONIC_SUBSTITUTION: "ionic_substitution",
}

WordsArgument = Annotated[
    str,
    typer.Argument(metavar="WORDS", help='In quotes: "a lithium oxide with a gap of 2-4 eV that is stable".'),
]
HitsOption = Annotated[int | None, typer.Option(min=1, max=10_000, help="Stop after so many. Default: 10.")]
TimeOption = Annotated[str, typer.Option("--time", help="Stop after so long at work: 90s, 10m, 1h30m. [1h]")]
CandidatesOption = Annotated[
    int | None, typer.Option("--candidates", min=0, help="Make so many at most. Default: 10,000.")
]
EvaluationsOption = Annotated[
    int | None, typer.Option("--evaluations", min=0, help="Of the potential, at most. Default: no limit.")
]
RoundsOption = Annotated[
    int | None,
    typer.Option("--patience", min=1, max=1000, help="Rounds without progress before it stops. Default: 10."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of all that is drawn; same seed, same result.")]
GeneratorOption = Annotated[
    list[CampaignMaker] | None,
    typer.Option("--generator", help="What may make candidates; may be repeated. Default: all."),
]
CatalogOption = Annotated[str, typer.Option(help="To start from and to be new to. Default: the server's.")]
ReferenceOption = Annotated[
    str, typer.Option("--reference", help="Whose hull decides stability. Default: the server's.")
]
PlannerOption = Annotated[str, typer.Option(help="What chooses the next candidates. Default: bandit.")]
WithoutRetrievalOption = Annotated[
    bool,
    typer.Option("--without-retrieval", help="Start from no known materials, to see what they are worth."),
]
WithoutTransitionOption = Annotated[
    bool, typer.Option("--without-transition", help="Write crystals without saying first what changes.")
]
RadioactiveOption = Annotated[
    bool, typer.Option("--radioactive", help="Use elements without stable isotopes that nobody names, too.")
]
IntoOption = Annotated[
    Path | None,
    typer.Option(
        "--into",
        "--out",
        "-o",
        help="New folder for a CIF of each, results.jsonl, results.parquet, campaign.json and report.html.",
    ),
]
FollowOption = Annotated[
    bool, typer.Option("--follow/--no-follow", help="Wait for the end, or leave it to the server at once.")
]


def design(  # noqa: PLR0917 -- typer makes options of them
    words: WordsArgument = "",
    formula: FormulaOption = "",
    elements: ElementsOption = "",
    only_elements: OnlyElementsOption = "",
    without_elements: WithoutOption = "",
    chemical_system: ChemicalSystemOption = "",
    space_group: SpaceGroupOption = None,
    crystal_system: Annotated[System | None, typer.Option(help="Any space group of it.")] = None,
    bounds: PropertyOption = None,
    hits: HitsOption = None,
    time: TimeOption = "",
    candidates: CandidatesOption = None,
    evaluations: EvaluationsOption = None,
    patience: RoundsOption = None,
    catalog: CatalogOption = "",
    reference: ReferenceOption = "",
    generator: GeneratorOption = None,
    planner: PlannerOption = "",
    model: Annotated[str, typer.Option(help="Language model. Default: the server's.")] = "",
    property_model: Annotated[str, typer.Option(help="That predicts. Default: the server's.")] = "",
    potential: Annotated[str, typer.Option(help="That relaxes. Default: the server's.")] = "",
    seed: SeedOption = 0,
    without_retrieval: WithoutRetrievalOption = False,  # noqa: FBT002
    without_transition: WithoutTransitionOption = False,  # noqa: FBT002
    radioactive: RadioactiveOption = False,  # noqa: FBT002
    name: Annotated[str, typer.Option(help="What to call it. Default: written from the target.")] = "",
    into: IntoOption = None,
    follow_it: FollowOption = True,  # noqa: FBT002
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Search for new materials that are what WORDS and options say: made, relaxed, scored, ranked.

    The search runs on the server, and goes on when you leave with Ctrl-C: `crystalmesh campaigns`.
    Options overrule what was understood of WORDS. Exit code 0: a hit was found; 7: none was.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    asked = target_of(
        formula=formula,
        elements=elements,
        only_elements=only_elements,
        without_elements=without_elements,
        chemical_system=chemical_system,
        space_group=space_group,
        crystal_system=None if crystal_system is None else crystal_system.value,
        bounds=bounds or (),
    )
    target = wanted(words, asked)
    settings: CampaignSettings = {
        "name": name,
        "max_candidates": candidates,
        "max_seconds": seconds_of_text(time) if time else None,
        "max_evaluations": evaluations,
        "catalog": catalog,
        "reference": reference,
        "generators": [GENERATORS[each] for each in generator or ()],
        "planner": planner,
        "generation_model": model,
        "property_model": property_model,
        "potential": potential,
        "seed": seed,
        "skip_retrieval": without_retrieval,
        "skip_transition": without_transition,
        "allow_radioactive_elements": radioactive,
    }
    if hits is not None:
        settings["hits"] = hits
    if patience is not None:
        settings["max_rounds_without_progress"] = patience
    if into is not None and not follow_it:
        usage_error("--into waits for the results, and --no-follow does not: crystalmesh campaigns results")
    folder = None if into is None else CampaignFolder(into)
    with Mesh(address) as mesh:
        campaign = mesh.campaigns.create(target, **settings)
        _tell_begin(campaign, as_json=as_json, follow_it=follow_it)
        if not follow_it:
            return
        follow(mesh, campaign, as_json=as_json, then="" if into is None else f" --into {into}")
        results = mesh.campaigns.results(campaign.id)
        tell_and_keep(results, folder, mesh, as_json=as_json)
    raise typer.Exit(exit_code_of(results.campaign))


def wanted(words: str, asked: Target | None) -> Target:
    """The target of words and options together; options overrule words. Exit code 2 when neither says any."""
    from crystalmesh_client.campaign_specs import campaign_target  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.conditions import Target  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import InvalidFieldError  # noqa: PLC0415

    if asked is None and not words:
        usage_error('say what to look for: crystalmesh design "a lithium oxide with a gap of 2-4 eV"')
    try:
        # With options the words need not say more.
        understood = _understood(words, campaign_target, needed=asked is None)
    except InvalidFieldError as error:
        usage_error(str(error))
    if asked is None:
        return understood
    if asked.space_group or asked.crystal_system:
        understood = replace(understood, space_group=None, crystal_system=None)
    said = {each.name: getattr(asked, each.name) for each in fields(Target) if getattr(asked, each.name)}
    return replace(understood, **said)


def _understood(words: str, read: Any, *, needed: bool) -> Target:
    from crystalmesh_client.conditions import Target  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import InvalidFieldError  # noqa: PLC0415

    try:
        target: Target = read(words)
    except InvalidFieldError:
        if needed:
            raise
        return Target(free_text=words)
    return target


def _tell_begin(campaign: Campaign, *, as_json: bool, follow_it: bool) -> None:
    """What the server understood, and the id; programs learn it from the first event, or from this alone."""
    if as_json:
        if not follow_it:
            typer.echo(json.dumps({"kind": "campaign", **campaign.to_dict()}))
        return
    typer.echo(f"looking for {target_line(campaign.spec.target)}")
    typer.echo(f"campaign {campaign.id}, on the server")
    if not follow_it:
        tell_how_to_come_back(campaign.id)
