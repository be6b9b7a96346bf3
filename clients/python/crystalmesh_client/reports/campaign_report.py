"""The report on a campaign: one HTML file that needs no network and runs no script.

All text is escaped, for targets come from callers, transitions and crystals from models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crystalmesh.agent.v1 import campaign_candidate_pb2, campaign_pb2
from crystalmesh_client.hulls import PhaseDiagram
from crystalmesh_client.plots.markup import counted, escaped
from crystalmesh_client.reports.asked import asked_section, ending_section, verdict
from crystalmesh_client.reports.cards import card, folded_card, ranking_table
from crystalmesh_client.reports.findings import Finding, findings_of
from crystalmesh_client.reports.funnel import funnel_section
from crystalmesh_client.reports.page_style import STYLE
from crystalmesh_client.reports.wording import duration_text, seconds_of

_MOST_CARDS = 24
_MOST_LINES = 400
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_report(
    campaign: campaign_pb2.Campaign,
    candidates: Sequence[campaign_candidate_pb2.CampaignCandidate],
    path: str | Path,
    diagrams: Mapping[str, PhaseDiagram] | None = None,
) -> None:
    """Write the report on a campaign, finished or not; OSError where the file cannot be written.

    The candidates come in any order and may include rejected ones, which say why in the funnel. `diagrams`
    are hulls by chemical system; those of two or three elements are drawn. Equal input gives an equal file.
    """
    Path(path).write_text(campaign_report(campaign, candidates, diagrams), encoding="utf-8")


def campaign_report(
    campaign: campaign_pb2.Campaign,
    candidates: Sequence[campaign_candidate_pb2.CampaignCandidate],
    diagrams: Mapping[str, PhaseDiagram] | None = None,
) -> str:
    """The text of the file that `write_report` writes."""
    findings = findings_of(candidates)
    title = campaign.spec.display_name or f"Campaign {campaign.id}"
    sections = (
        asked_section(campaign),
        ending_section(campaign),
        funnel_section(campaign, findings),
        _pictures(campaign, findings, diagrams or {}),
        _best(campaign, findings),
        _ranking(campaign, findings),
        _others(campaign, findings),
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head><body>"
        f'<div class="sheet">{_head(campaign, title)}<main>{"".join(sections)}</main>{_foot(campaign)}</div>'
        "</body></html>\n"
    )


def _head(campaign: campaign_pb2.Campaign, title: str) -> str:
    progress = campaign.progress
    tiles = (
        (f"{progress.hits:,}", "hit" if progress.hits == 1 else "hits"),
        (f"{progress.candidates:,}", "candidates generated"),
        (f"{progress.rounds:,}", "round" if progress.rounds == 1 else "rounds"),
        (duration_text(seconds_of(progress.wall_time)), "at work"),
        (f"{progress.evaluations:,}", "energy evaluations"),
    )
    shown = "".join(f"<li><b>{value}</b><span>{name}</span></li>" for value, name in tiles)
    links = (
        ("asked", "What was asked"),
        ("ended", "How it ended"),
        ("funnel", "Funnel"),
        ("pictures", "Trade-offs and hulls"),
        ("best", "Best candidates"),
        ("ranking", "Ranking"),
    )
    menu = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in links)
    return (
        f"<header><h1>{escaped(title)}</h1><p>{escaped(verdict(campaign))}</p>"
        f'<ul class="tiles">{shown}</ul><nav>{menu}</nav></header>'
    )


def _best(campaign: campaign_pb2.Campaign, findings: Sequence[Finding]) -> str:
    ranked = [finding for finding in findings if finding.rank]
    if not ranked:
        return '<section id="best"><h2>Best candidates</h2><p class="panel">None is ranked yet.</p></section>'
    cards = "".join(card(finding, campaign.spec.target) for finding in ranked[:_MOST_CARDS])
    return (
        f'<section id="best"><h2>Best candidates</h2><div class="cards">{cards}</div>'
        f'<p class="caption">{_reading(len(ranked))}</p></section>'
    )


def _reading(ranked: int) -> str:
    """How to read the cards."""
    rest = f" The best {_MOST_CARDS} of {ranked} have a card; the others follow the ranking."
    return (
        "A score is between 0 and 1, and 1 fulfils everything for sure. Values after ± are half of a 95% "
        "interval, where the model says how sure it is. Space groups are found within 0.1 Å."
        f"{rest if ranked > _MOST_CARDS else ''}"
    )


def _pictures(
    campaign: campaign_pb2.Campaign, findings: Sequence[Finding], diagrams: Mapping[str, PhaseDiagram]
) -> str:
    """Where candidates lie between the wishes, and on the hulls."""
    from crystalmesh_client.reports.hull_pictures import (  # noqa: PLC0415 -- matplotlib is slow
        hull_figures,
        systems_not_drawn,
    )
    from crystalmesh_client.reports.pareto import pareto_figures  # noqa: PLC0415 -- as above

    figures = [*pareto_figures(campaign.spec.target, findings), *hull_figures(diagrams, findings)]
    if not figures:
        return ""
    left_out = systems_not_drawn(diagrams, findings) if diagrams else []
    words = f'<p class="caption">Hulls not drawn: {escaped(", ".join(left_out))}.</p>' if left_out else ""
    return (
        '<section id="pictures"><h2>Trade-offs and hulls</h2>'
        f'<div class="figures">{"".join(figures)}</div>{words}</section>'
    )


def _ranking(campaign: campaign_pb2.Campaign, findings: Sequence[Finding]) -> str:
    ranked = [finding for finding in findings if finding.rank]
    if not ranked:
        return ""
    table = ranking_table(ranked[:_MOST_LINES], campaign.spec.target)
    return f'<section id="ranking"><h2>Ranking</h2>{table}</section>'


def _others(campaign: campaign_pb2.Campaign, findings: Sequence[Finding]) -> str:
    """All candidates without a card, each behind a line."""
    ranked = sum(finding.rank > 0 for finding in findings)
    rest = findings[min(ranked, _MOST_CARDS) :]  # ranked ones come first
    if not rest:
        return ""
    lines = "".join(folded_card(finding, campaign.spec.target) for finding in rest[:_MOST_LINES])
    more = len(rest) - _MOST_LINES
    note = f'<p class="caption">and {more:,} more</p>' if more > 0 else ""
    return (
        f'<section id="others" class="only-on-screen"><h2>{counted(len(rest), "more candidate")}</h2>'
        f"{lines}{note}</section>"
    )


def _foot(campaign: campaign_pb2.Campaign) -> str:
    return (
        "<footer>Values come from models, each named beside its value, and are no measurements. "
        f"Campaign {escaped(campaign.id)}, made with CrystalMesh.</footer>"
    )
