"""How a campaign looks while it runs: on a terminal, in a pipe, and to a program."""

from __future__ import annotations

import json
from typing import Protocol

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from crystalmesh_client.campaign_events import CampaignEvent, RoundFinished
from crystalmesh_client.campaigns import StageProgress, percent
from crystalmesh_client.cli.campaign_story import NOTABLE, CampaignStory
from crystalmesh_client.cli.campaign_views import one_line
from crystalmesh_client.cli.durations import in_minutes
from crystalmesh_client.properties import SHORT_NAMES

_BAR = 24
_STYLES = {"running": "green", "finished": "green", "paused": "yellow", "failed": "bold red"}


class Screen(Protocol):
    """Shows events to somebody."""

    def show(self, event: CampaignEvent) -> None:
        """Show an event that the story has taken."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


def screen_for(story: CampaignStory, *, as_json: bool) -> Screen:
    """What suits standard output."""
    if as_json:
        return JsonScreen()
    console = Console()
    moves = console.is_terminal and not console.is_dumb_terminal
    return LiveScreen(console, story) if moves else LineScreen()


class JsonScreen:
    """Every event as one JSON object on a line."""

    def show(self, event: CampaignEvent) -> None:
        typer.echo(json.dumps(event.to_dict()))

    def close(self) -> None:
        """Nothing to restore."""


class LineScreen:
    """One line for each event worth knowing, and no control codes."""

    def show(self, event: CampaignEvent) -> None:
        if isinstance(event, NOTABLE):
            typer.echo(f"{_clock(event)}  {one_line(str(event))}")
        if isinstance(event, RoundFinished) and event.progress.funnel:
            typer.echo(f"          {event.progress.funnel}")

    def close(self) -> None:
        """Nothing to restore."""


class LiveScreen:
    """A picture of the campaign that follows it; the last one stays."""

    def __init__(self, console: Console, story: CampaignStory) -> None:
        self._live = Live(
            get_renderable=lambda: campaign_picture(story), console=console, refresh_per_second=4
        )
        self._live.start()

    def show(self, event: CampaignEvent) -> None:
        """The picture reads the story by itself, also between events."""

    def close(self) -> None:
        """Give the terminal back."""
        self._live.stop()


def campaign_picture(story: CampaignStory) -> Group:
    """Where the campaign is; 80 columns are enough."""
    parts: list[Text | Table] = [_head(story), Text(), _funnel(story.funnel.stages()), Text(), _best(story)]
    if story.state == "paused":
        parts.append(Text(f"waits for {one_line(story.waits_for)}, and goes on by itself", style="yellow"))
    if story.news:
        parts.append(Text())
        parts += [_news(event) for event in story.news]
    return Group(*parts)


def _head(story: CampaignStory) -> Text:
    campaign = story.campaign
    limit = campaign.spec.budget.max_seconds
    time = in_minutes(story.seconds) + ("" if limit is None else f" of {in_minutes(limit)}")
    made = campaign.spec.budget.max_candidates
    stages = {each.stage: each for each in story.funnel.stages()}
    candidates = f"{stages['generate'].entered:,}" + ("" if made is None else f" of {made:,}")
    head = Text.assemble((one_line(campaign.name), "bold"), f"  {campaign.id}\n")
    head.append(story.state, style=_STYLES.get(story.state, "dim"))
    head.append(
        f"  round {story.round} · hits {story.hits} of {campaign.spec.hits} · candidates {candidates}"
        f" · {story.evaluations:,} evaluations · {time}"
    )
    return head


def _funnel(stages: list[StageProgress]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("stage", no_wrap=True)
    for name in ("entered", "passed", "dropped", "in it", "yield"):
        table.add_column(name, no_wrap=True, justify="right", min_width=len(name))
    table.add_column("", no_wrap=True, width=_BAR)
    made = next(each.entered for each in stages if each.stage == "generate")
    for each in stages:
        counts = (each.entered, each.passed, each.rejected, each.waiting)
        cells = [f"{count:,}" if count else "·" for count in counts]
        # Materials that are found are no candidates, so they have no part in the funnel's width.
        share = 0.0 if each.stage == "retrieve" or not made else min(each.passed / made, 1.0)
        bar = Text("━" * round(_BAR * share), style="green" if each.stage == "rank" else "cyan")
        table.add_row(each.stage, *cells, percent(each), bar)
    return table


def _best(story: CampaignStory) -> Text:
    best = story.best
    if best is None:
        return Text("best so far: none is ranked yet", style="dim")
    known = ", ".join(
        f"{SHORT_NAMES.get(name, name)} {value.rounded}" for name, value in best.properties.items()
    )
    text = Text.assemble("best so far: ", (best.formula or best.candidate_id, "bold"))
    if best.is_hit:
        text.append(" hit", style="bold green")
    return text.append(f"  score {best.score:.3f}" + (f", {known}" if known else ""))


def _news(event: CampaignEvent) -> Text:
    line = f"{_clock(event)}  {one_line(str(event))}"
    return Text(line, style="dim", no_wrap=True, overflow="ellipsis")


def _clock(event: CampaignEvent) -> str:
    return event.time.astimezone().strftime("%H:%M:%S")
