"""The funnel of a campaign: how many candidates came through each stage, and why the others did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from crystalmesh.agent.v1 import campaign_candidate_pb2, campaign_pb2
from crystalmesh_client.plots.markup import counted, escaped
from crystalmesh_client.reports.findings import Finding
from crystalmesh_client.reports.wording import duration_text, enum_words, seconds_of

_REASONS: Mapping[int, str] = {
    campaign_candidate_pb2.REJECTION_REASON_PARSE_FAILURE: "text that is no crystal",
    campaign_candidate_pb2.REJECTION_REASON_INVALID_STRUCTURE: "impossible structure",
    campaign_candidate_pb2.REJECTION_REASON_INVALID_COMPOSITION: "charges cannot balance",
    campaign_candidate_pb2.REJECTION_REASON_DUPLICATE: "same as an earlier candidate",
    campaign_candidate_pb2.REJECTION_REASON_KNOWN: "known already",
    campaign_candidate_pb2.REJECTION_REASON_OFF_TARGET: "off target",
    campaign_candidate_pb2.REJECTION_REASON_NOT_RELAXED: "did not relax",
    campaign_candidate_pb2.REJECTION_REASON_UNSTABLE: "too far above the hull",
    campaign_candidate_pb2.REJECTION_REASON_SERVICE_ERROR: "a service failed",
}
_TASKS: Mapping[int, str] = {
    campaign_pb2.CAMPAIGN_STAGE_RETRIEVE: "known materials near the target are found",
    campaign_pb2.CAMPAIGN_STAGE_GENERATE: "crystals are generated",
    campaign_pb2.CAMPAIGN_STAGE_VALIDATE: "impossible and repeated crystals are dropped",
    campaign_pb2.CAMPAIGN_STAGE_SCREEN: "properties are predicted, hopeless ones dropped",
    campaign_pb2.CAMPAIGN_STAGE_RELAX: "crystals are relaxed",
    campaign_pb2.CAMPAIGN_STAGE_SCORE: "placed against the hull, properties predicted again",
    campaign_pb2.CAMPAIGN_STAGE_NOVELTY: "compared with the catalog and with each other",
    campaign_pb2.CAMPAIGN_STAGE_RANK: "ranked by the target",
}


def funnel_section(campaign: campaign_pb2.Campaign, findings: Sequence[Finding]) -> str:
    """A row for each stage, with bars on one scale and the reasons of rejection."""
    stages = campaign.progress.stages
    if not stages:
        return ""
    reasons = rejections_by_stage(findings)
    candidates = [each for each in stages if each.stage != campaign_pb2.CAMPAIGN_STAGE_RETRIEVE]
    widest = max((each.entered_count for each in candidates), default=0) or 1
    body = "".join(_row(each, widest, reasons.get(each.stage, Counter())) for each in stages)
    head = "<tr><th>Stage</th><th></th><th>entered</th><th>passed</th><th>dropped</th><th>at work</th></tr>"
    return (
        '<section id="funnel"><h2>Funnel</h2>'
        f'<table class="funnel"><thead>{head}</thead><tbody>{body}</tbody></table>'
        f'<p class="caption">{_caption(campaign, findings)}</p></section>'
    )


def rejections_by_stage(findings: Sequence[Finding]) -> dict[int, Counter[int]]:
    """How many of the candidates at hand were dropped, by stage and reason."""
    counts: dict[int, Counter[int]] = {}
    for finding in findings:
        if finding.message.HasField("rejection"):
            rejection = finding.message.rejection
            counts.setdefault(rejection.stage, Counter())[rejection.reason] += 1
    return counts


def reason_text(reason: int) -> str:
    """A reason of rejection in a few words."""
    return _REASONS.get(reason, "no reason given")


def stage_text(stage: int) -> str:
    """The name of a stage in small letters."""
    if stage not in campaign_pb2.CampaignStage.values():
        return f"stage {stage}"
    name = campaign_pb2.CampaignStage.Name(campaign_pb2.CampaignStage.ValueType(stage))
    return enum_words(name, "CAMPAIGN_STAGE_")


def _row(stage: campaign_pb2.StageProgress, widest: int, reasons: Counter[int]) -> str:
    why = " · ".join(f"{count:,} {reason_text(reason)}" for reason, count in reasons.most_common())
    of_materials = stage.stage == campaign_pb2.CAMPAIGN_STAGE_RETRIEVE
    bar = '<small class="soft">known materials</small>' if of_materials else _bar(stage, widest)
    busy = duration_text(seconds_of(stage.busy_time)) if stage.HasField("busy_time") else ""
    return (
        f"<tr><th>{stage_text(stage.stage).capitalize()}<small>{_TASKS.get(stage.stage, '')}</small></th>"
        f"<td>{bar}{f'<small>{escaped(why)}</small>' if why else ''}</td>"
        f"<td>{stage.entered_count:,}</td><td>{stage.passed_count:,}</td>"
        f"<td>{stage.rejected_count:,}</td><td>{busy}</td></tr>"
    )


def _bar(stage: campaign_pb2.StageProgress, widest: int) -> str:
    waiting = max(stage.entered_count - stage.passed_count - stage.rejected_count, 0)
    parts = (("passed", stage.passed_count), ("waiting", waiting), ("dropped", stage.rejected_count))
    pieces = "".join(
        f'<i class="{kind}" style="width:{100 * count / widest:.2f}%"></i>' for kind, count in parts if count
    )
    return f'<div class="meter">{pieces}</div>'


def _caption(campaign: campaign_pb2.Campaign, findings: Sequence[Finding]) -> str:
    told = sum(finding.is_rejected for finding in findings)
    dropped = sum(each.rejected_count for each in campaign.progress.stages)
    words = 'Bars: <i class="key passed"></i> passed <i class="key dropped"></i> dropped, on one scale.'
    if any(each.entered_count > each.passed_count + each.rejected_count for each in campaign.progress.stages):
        words = words.replace(" dropped,", ' dropped <i class="key waiting"></i> in it,')
    if not dropped:
        return words
    if told == 0:
        return f"{words} Why {counted(dropped, 'candidate')} were dropped was not given to this report."
    if told < dropped:
        return f"{words} Reasons are those of the {told:,} dropped candidates that this report was given."
    return words
