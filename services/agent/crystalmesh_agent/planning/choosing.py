"""The planners that specs can name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator

from crystalmesh_agent.planning.bandit import Bandit
from crystalmesh_agent.planning.language_model.settings import LanguageModelPlannerSettings
from crystalmesh_agent.planning.planner import Planner
from crystalmesh_agent.planning.uniform import Uniform


def planners(language_models: Sequence[LanguageModelPlannerSettings] = ()) -> Mapping[str, Planner]:
    """All planners by their names: the bandit, the uniform one, and those that ask language models."""
    built_in: list[Planner] = [Bandit(), Uniform()]
    return {planner.name: planner for planner in (*built_in, *map(_asking, language_models))}


def _asking(settings: LanguageModelPlannerSettings) -> Planner:
    # Agents without a language model need no HTTP library.
    from crystalmesh_agent.planning.language_model.planner import LanguageModelPlanner  # noqa: PLC0415

    return LanguageModelPlanner(settings)


def _named_apart(
    language_models: tuple[LanguageModelPlannerSettings, ...],
) -> tuple[LanguageModelPlannerSettings, ...]:
    if len({each.name for each in language_models}) < len(language_models):
        raise ValueError("two planners have the same name")
    return language_models


LanguageModelPlanners = Annotated[tuple[LanguageModelPlannerSettings, ...], AfterValidator(_named_apart)]
"""The type of a setting that lists language-model planners."""
