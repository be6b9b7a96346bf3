"""The head of a report: what was asked, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from crystalmesh.agent.v1 import campaign_pb2, run_pb2
from crystalmesh.crystal.v1 import crystal_pb2, target_pb2
from crystalmesh.generation.v1 import generation_pb2
from crystalmesh_client.plots.markup import counted, escaped, formula, space_group
from crystalmesh_client.properties import property_name
from crystalmesh_client.reports.wording import (
    duration_text,
    enum_words,
    moment_text,
    property_title,
    range_text,
    rows,
    seconds_of,
)
from crystalmesh_common.crystal.elements import symbol_of

_ENDINGS: Mapping[int, str] = {
    campaign_pb2.CAMPAIGN_STOP_REASON_HITS: "enough hits were found",
    campaign_pb2.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET: "all candidates of the budget were generated",
    campaign_pb2.CAMPAIGN_STOP_REASON_TIME_BUDGET: "the time of the budget is over",
    campaign_pb2.CAMPAIGN_STOP_REASON_EVALUATION_BUDGET: "all evaluations of the budget were made",
    campaign_pb2.CAMPAIGN_STOP_REASON_NO_PROGRESS: "too many rounds in a row improved nothing",
    campaign_pb2.CAMPAIGN_STOP_REASON_CANCELLED: "someone cancelled it",
    campaign_pb2.CAMPAIGN_STOP_REASON_FAILED: "it could not go on",
}
_STATES: Mapping[int, str] = {
    run_pb2.RUN_STATE_QUEUED: "Waits to begin",
    run_pb2.RUN_STATE_RUNNING: "Still at work",
    run_pb2.RUN_STATE_PAUSED: "Paused",
    run_pb2.RUN_STATE_FINISHED: "Finished",
    run_pb2.RUN_STATE_CANCELLED: "Cancelled",
    run_pb2.RUN_STATE_FAILED: "Failed",
}


def asked_section(campaign: campaign_pb2.Campaign) -> str:
    """The whole target, and how the campaign was to go about it."""
    spec = campaign.spec
    target = _target_rows(spec.target)
    words = f"<blockquote>{escaped(spec.target.free_text)}</blockquote>" if spec.target.free_text else ""
    return (
        '<section id="asked"><h2>What was asked</h2><div class="columns">'
        f"<div><h3>Target</h3>{target}{words}</div><div><h3>Search</h3>{_search_rows(spec)}</div>"
        "</div></section>"
    )


def ending_section(campaign: campaign_pb2.Campaign) -> str:
    """The state in a sentence, the times, and what was spent of the budget."""
    return (
        '<section id="ended"><h2>How it ended</h2><div class="columns">'
        f'<div><p class="verdict">{escaped(verdict(campaign))}</p>{_times(campaign)}</div>'
        f"<div>{_spending(campaign)}</div></div></section>"
    )


def verdict(campaign: campaign_pb2.Campaign) -> str:
    """How it ended, or where it is, in a sentence without a full stop."""
    state = _STATES.get(campaign.state, "Its state is not known")
    if campaign.state == run_pb2.RUN_STATE_PAUSED:
        why = campaign.pause.error.message
        return f"Paused: it waits for {campaign.pause.service}{f' ({why})' if why else ''}"
    if campaign.state == run_pb2.RUN_STATE_FAILED:
        return f"Failed: {campaign.failure.message or 'it could not go on'}"
    if campaign.state == run_pb2.RUN_STATE_FINISHED and campaign.stop_reason in _ENDINGS:
        return f"Finished: {_ENDINGS[campaign.stop_reason]}"
    return state


def _target_rows(target: target_pb2.Target) -> str:
    symmetry = ""
    if target.WhichOneof("symmetry") == "space_group_number":
        symmetry = space_group(target.space_group_number)
    elif target.WhichOneof("symmetry") == "crystal_system":
        name = enum_words(_system_name(target.crystal_system), "CRYSTAL_SYSTEM_")
        symmetry = f"any {escaped(name)} space group"
    properties = (
        (property_title(property_name(each.property)).capitalize(), escaped(range_text(each)))
        for each in target.properties
    )
    return rows(
        *properties,
        ("Must contain", _symbols(target.required_elements)),
        ("May contain", _symbols(target.allowed_elements)),
        ("Must not contain", _symbols(target.forbidden_elements)),
        ("Formula", formula(target.formula)),
        ("Chemical system", escaped(target.chemical_system)),
        ("Symmetry", symmetry),
    )


def _search_rows(spec: campaign_pb2.CampaignSpec) -> str:
    generators = [
        enum_words(generation_pb2.Generator.Name(each), "GENERATOR_")
        for each in spec.generators
        if each in generation_pb2.Generator.values()
    ]
    parts = ((spec.skip_retrieval, "known materials"), (spec.skip_transition, "transitions"))
    left_out = [words for skipped, words in parts if skipped]
    return rows(
        ("Hits wanted", f"{spec.hits_wanted:,}"),
        ("Start and novelty", _catalog(spec)),
        ("Stability against", escaped(spec.reference)),
        ("Generators", escaped(", ".join(generators)) or "all there are"),
        ("Planner", escaped(spec.planner)),
        ("Language model", escaped(spec.models.generation)),
        ("Property model", escaped(spec.models.property)),
        ("Potential", escaped(spec.models.potential)),
        ("Seed", str(spec.seed)),
        ("Without", " and ".join(left_out)),
        ("Gives up after", counted(spec.max_rounds_without_progress, "round") + " without progress"),
    )


def _catalog(spec: campaign_pb2.CampaignSpec) -> str:
    return f"catalog {escaped(spec.catalog)}" if spec.catalog else ""


def _times(campaign: campaign_pb2.Campaign) -> str:
    begun = campaign.start_time if campaign.HasField("start_time") else campaign.create_time
    tokens = campaign.progress.planner_usage
    read, written = tokens.prompt_tokens, tokens.completion_tokens
    cost = f", {tokens.cost_usd:.2f} US$" if tokens.HasField("cost_usd") else ""
    return rows(
        ("Began", moment_text(begun) if begun.seconds else ""),
        ("Ended", moment_text(campaign.end_time) if campaign.HasField("end_time") else ""),
        ("Rounds", f"{campaign.progress.rounds:,}"),
        ("Planner", f"{read:,} tokens read, {written:,} written{cost}" if read or written else ""),
        ("Campaign", escaped(campaign.id)),
    )


def _spending(campaign: campaign_pb2.Campaign) -> str:
    """What was spent, with a bar for what has a limit."""
    items = "".join(
        f"<tr><th>{name}</th><td>{spent}</td><td>{limit}</td><td>{_bar(share)}</td></tr>"
        for name, spent, limit, share in _spent(campaign)
    )
    head = "<tr><th></th><th>spent</th><th>of at most</th><th></th></tr>"
    return f'<table class="spending"><thead>{head}</thead><tbody>{items}</tbody></table>'


def _spent(campaign: campaign_pb2.Campaign) -> Iterator[tuple[str, str, str, float | None]]:
    budget, progress = campaign.spec.budget, campaign.progress
    wanted = campaign.spec.hits_wanted
    yield "Hits", f"{progress.hits:,}", f"{wanted:,}" if wanted else "", _share(progress.hits, wanted)
    limit = budget.max_candidates if budget.HasField("max_candidates") else None
    yield "Candidates", f"{progress.candidates:,}", _limit(limit), _share(progress.candidates, limit)
    seconds = seconds_of(progress.wall_time)
    most = seconds_of(budget.max_wall_time) if budget.HasField("max_wall_time") else None
    yield (
        "Time at work",
        duration_text(seconds),
        "" if most is None else duration_text(most),
        _share(seconds, most),
    )
    limit = budget.max_evaluations if budget.HasField("max_evaluations") else None
    yield "Evaluations", f"{progress.evaluations:,}", _limit(limit), _share(progress.evaluations, limit)


def _limit(limit: int | None) -> str:
    return "no limit" if limit is None else f"{limit:,}"


def _share(spent: float, limit: float | None) -> float | None:
    return None if not limit else min(spent / limit, 1.0)


def _bar(share: float | None) -> str:
    return "" if share is None else f'<div class="meter"><i style="width:{100 * share:.1f}%"></i></div>'


def _symbols(numbers: Iterable[int]) -> str:
    return ", ".join(symbol_of(number) for number in numbers)


def _system_name(number: int) -> str:
    known = number in crystal_pb2.CrystalSystem.values()
    return crystal_pb2.CrystalSystem.Name(crystal_pb2.CrystalSystem.ValueType(number)) if known else "unknown"
