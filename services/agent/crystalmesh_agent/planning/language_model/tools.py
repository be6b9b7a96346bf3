"""The tools of a planning model: to look, to submit a plan, to stop. Whatever it asks for is checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crystalmesh.agent.v1.campaign_event_pb2 import PlannedBatch
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.planning.choices import Choice, batches_of, generator_name, usable_generators
from crystalmesh_agent.planning.language_model.answers import ToolRequest, plain_text
from crystalmesh_agent.planning.language_model.settings import LanguageModelPlannerSettings
from crystalmesh_agent.planning.language_model.telling import POINTS_AT_ONCE, TRIALS_AT_ONCE, Telling
from crystalmesh_agent.planning.planner import Situation

_MOST_RATIONALE = 2000
_MOST_BATCHES = 64


class _Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Page(_Arguments):
    first: int = Field(1, ge=1)
    count: int = Field(POINTS_AT_ONCE, ge=1)


class _Batch(_Arguments):
    starting_point: str | None = None
    generator: str
    temperature: Annotated[float | None, Field(ge=0.1, le=2, allow_inf_nan=False)] = None
    edit: str = ""
    candidates: int = Field(ge=1)


class _Submitted(_Arguments):
    batches: list[_Batch] = Field(min_length=1, max_length=_MOST_BATCHES)
    rationale: str = ""


class _Stopped(_Arguments):
    rationale: str = ""


class UnusableError(ValueError):
    """What the model asked for cannot be done; the message tells it why."""


@dataclass(frozen=True)
class Decision:
    """What the model decided; no batches: to stop."""

    batches: Sequence[PlannedBatch]
    rationale: str


class Tools:
    """The tools, for one situation."""

    def __init__(
        self, situation: Situation, telling: Telling, settings: LanguageModelPlannerSettings
    ) -> None:
        self._situation = situation
        self._telling = telling
        self._settings = settings
        self._generators = {generator_name(each): each for each in usable_generators(situation)}
        self._uses: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any] | Decision]] = {
            "list_starting_points": self._list_starting_points,
            "list_trials": self._list_trials,
            "submit_plan": self._submit_plan,
            "stop": self._stop,
        }

    def use(self, request: ToolRequest) -> Mapping[str, Any] | Decision:
        """What a tool says, or the decision that it takes down. Raises UnusableError."""
        use = self._uses.get(request.name)
        if use is None:
            raise UnusableError(f"there is no tool {request.name}; there are {', '.join(self._uses)}")
        if request.arguments is None:
            raise UnusableError(f"the arguments of {request.name} are no JSON object")
        try:
            return use(request.arguments)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = plain_text(".".join(map(str, first["loc"])), 100)
            raise UnusableError(f"{request.name}: {where}: {plain_text(first['msg'], 200)}") from None

    def described(self) -> Sequence[Mapping[str, Any]]:
        """The tools as chat endpoints take them."""
        return [_described(name, *each) for name, each in self._descriptions().items()]

    def _list_starting_points(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        page = _Page.model_validate(arguments)
        return self._telling.starting_points(page.first, page.count)

    def _list_trials(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        page = _Page.model_validate(arguments)
        return self._telling.trials(page.first - 1, page.count)

    def _submit_plan(self, arguments: Mapping[str, Any]) -> Decision:
        submitted = _Submitted.model_validate(arguments)
        chosen = [self._choice(place, batch) for place, batch in enumerate(submitted.batches, start=1)]
        counts = [batch.candidates for batch in submitted.batches]
        wanted = self._situation.candidates_wanted
        if sum(counts) != wanted:
            raise UnusableError(f"the candidates of all batches add up to {sum(counts)}, not to {wanted}")
        return Decision(batches_of(chosen, counts), plain_text(submitted.rationale, _MOST_RATIONALE))

    def _choice(self, place: int, batch: _Batch) -> Choice:
        key, points = batch.starting_point, self._telling.points
        if key is not None and key not in points:
            raise UnusableError(f"batch {place}: there is no starting point {_quoted(key)}")
        if key is None and points:
            raise UnusableError(f"batch {place}: choose a starting point by its key")
        generator = self._generators.get(batch.generator)
        if generator is None:
            raise UnusableError(
                f"batch {place}: there is no generator {_quoted(batch.generator)}; "
                f"there are {', '.join(self._generators)}"
            )
        if batch.edit not in self._telling.edits(key):
            raise UnusableError(f"batch {place}: {key} does not admit the edit {_quoted(batch.edit)}")
        substitution = generator == Generator.GENERATOR_IONIC_SUBSTITUTION
        if substitution and batch.temperature is not None:
            raise UnusableError(f"batch {place}: {batch.generator} takes no temperature")
        point = None if key is None else points[key]
        return Choice(point, generator, batch.temperature, batch.edit)

    def _stop(self, arguments: Mapping[str, Any]) -> Decision:
        stopped = _Stopped.model_validate(arguments)
        least = self._settings.rounds_before_stop
        if self._situation.round <= least:
            raise UnusableError(f"it is too early to stop: {least} rounds have to be made first")
        return Decision([], plain_text(stopped.rationale, _MOST_RATIONALE))

    def _descriptions(self) -> Mapping[str, tuple[str, Mapping[str, Any], Sequence[str]]]:
        """What each tool does, its arguments, and which of them are required."""
        whole = {"type": "integer", "minimum": 1}
        rationale = {"type": "string", "description": "your reasons, in a few sentences"}
        pages: tuple[Mapping[str, Any], Sequence[str]] = ({"first": whole, "count": whole}, ())
        batch = {
            "type": "object",
            "properties": {
                "starting_point": {
                    "type": "string",
                    "description": "its key; left out where none is offered",
                },
                "generator": {"type": "string", "enum": list(self._generators)},
                "temperature": {
                    "type": "number",
                    "minimum": 0.1,
                    "maximum": 2,
                    "description": "how freely the language model writes, 0.7 to 1.1 as a rule",
                },
                "edit": {"type": "string", "description": "one of the starting point's edits"},
                "candidates": whole,
            },
            "required": ["generator", "candidates"],
            "additionalProperties": False,
        }
        plan = {"batches": {"type": "array", "items": batch, "minItems": 1}, "rationale": rationale}
        return {
            "list_starting_points": (
                f"Known crystals to start from, the most promising first, {POINTS_AT_ONCE} at a time.",
                *pages,
            ),
            "list_trials": (
                f"What earlier batches brought, the latest first, {TRIALS_AT_ONCE} at a time.",
                *pages,
            ),
            "submit_plan": (
                "Decide what this round makes. The candidates of all batches add up to what is wanted.",
                plan,
                ("batches", "rationale"),
            ),
            "stop": (
                "End the campaign, because more rounds would bring nothing.",
                {"rationale": rationale},
                ("rationale",),
            ),
        }


def _described(
    name: str, description: str, properties: Mapping[str, Any], required: Sequence[str]
) -> Mapping[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def _quoted(text: str) -> str:
    return repr(plain_text(text, 40))
