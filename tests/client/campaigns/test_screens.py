"""What watching a campaign shows, and how times are read and written."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignCreated, CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignSpec
from crystalmesh_client.campaign_events import RoundFinished, campaign_event_from
from crystalmesh_client.campaigns import campaign_from
from crystalmesh_client.cli.campaign_screens import LiveScreen, campaign_picture
from crystalmesh_client.cli.campaign_story import CampaignStory, Funnel
from crystalmesh_client.cli.durations import in_minutes, seconds_of_text
from tests.client.campaigns import story

SPEC = CampaignSpec(display_name="salts with a gap", hits_wanted=3)
SPEC.budget.max_candidates = 40
SPEC.budget.max_wall_time.FromSeconds(600)


def told(*events: CampaignEvent) -> CampaignStory:
    """The story after these events."""
    tale = CampaignStory(campaign_from(Campaign(id="camp-1", spec=SPEC)))
    created = CampaignEvent(created=CampaignCreated(spec=SPEC))
    for event in story.numbered("camp-1", [created, *events]):
        tale.take(campaign_event_from(event))
    return tale


def lines_of(tale: CampaignStory) -> list[str]:
    """The picture as a terminal of 100 columns shows it."""
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    console.print(campaign_picture(tale))
    file = console.file
    assert isinstance(file, io.StringIO)
    return [" ".join(line.split()) for line in file.getvalue().splitlines() if line.strip()]


def test_a_picture_shows_stages_hits_best_and_pauses() -> None:
    """Of a campaign that waits for a service."""
    lines = lines_of(told(*story.until_the_pause()))
    assert lines[0] == "salts with a gap camp-1"
    assert lines[1] == "paused round 1 · hits 1 of 3 · candidates 1 of 40 · 13 evaluations · 0:21 of 10:00"
    assert lines[2] == "stage entered passed dropped in it yield"
    assert lines[3] == "retrieve 20 20 · · 100%"
    assert lines[7].startswith("relax 1 1 · · 100% ━━━")
    assert "best so far: NaCl hit score 0.930, gap eV 5.10 ± 0.39, above hull eV/atom 0.012" in lines
    assert "waits for relaxation, and goes on by itself" in lines
    assert lines[-1].endswith("paused, waits for relaxation: connection refused")
    assert "best so far: none is ranked yet" in lines_of(told())


def test_counts_between_rounds_agree_with_those_of_the_server() -> None:
    """What we count of single events is what the server says at the end of the round; materials it tells."""
    tale = told(*(event for event in story.whole() if event.WhichOneof("event") != "round_finished"))
    counted = Funnel()
    events = [campaign_event_from(event) for event in story.numbered("c", story.whole())]
    (last,) = (each for each in events if isinstance(each, RoundFinished) and each.round == 2)
    counted.correct(last.progress)
    assert [(each.stage, each.entered, each.passed, each.rejected) for each in tale.funnel.stages()] == [
        (each.stage, each.entered, each.passed, each.rejected) for each in counted.stages()
    ]
    assert (tale.evaluations, tale.hits, tale.state) == (26, 1, "finished")


def test_a_picture_of_anything_in_it_is_whole() -> None:
    """Words of others are no markup and steer no terminal, and a narrow one is wide enough."""
    spec = CampaignSpec(display_name="[red]x[/nope] \x1b[2J\n", hits_wanted=1)
    tale = CampaignStory(campaign_from(Campaign(id="camp-1", spec=spec)))
    for event in story.numbered("camp-1", story.whole()):
        tale.take(campaign_event_from(event))
    assert lines_of(tale)[0] == "[red]x[/nope] [2J camp-1"
    console = Console(width=20, file=io.StringIO(), force_terminal=True)
    screen = LiveScreen(console, tale)
    screen.show(tale.news[0])
    screen.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5 h", 5400), ("2 min 5 s", 125), ("0", 0)],
)
def test_times_are_read(text: str, seconds: float) -> None:
    """As people write them."""
    assert seconds_of_text(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1m", "1x", "m", "1e9s", "nan", "10m later"])
def test_what_is_no_time_is_a_usage_error(text: str) -> None:
    """Exit code 2."""
    with pytest.raises(typer.Exit) as refused:
        seconds_of_text(text)
    assert refused.value.exit_code == 2


@settings(deadline=None)  # other processes have the cores, too
@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_usage_error(text: str) -> None:
    """Nothing else happens."""
    with suppress(typer.Exit):
        assert seconds_of_text(text) >= 0


@given(st.integers(0, 10**6))
def test_times_are_written_as_they_were_read(seconds: int) -> None:
    """Hours, minutes and seconds add up."""
    parts = [int(part) for part in in_minutes(seconds).split(":")]
    assert sum(part * 60**place for place, part in enumerate(reversed(parts))) == seconds
