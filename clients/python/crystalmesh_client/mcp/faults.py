"""What a model is told when a call fails: a stable reason, what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, Field, ValidationError

from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.errors import CrystalMeshError

ERROR_KEY = "crystalmesh/error"
"""Where the metadata of a failed call hold the `Fault`, for programs."""

_MOST_COMPLAINTS = 5
_MOST_CHARACTERS = 1000

_HINTS: Mapping[type[CrystalMeshError], str] = {
    errors.UnreadableCrystalError: (
        "Send the whole text of one CIF: a data_ block with cell lengths, cell angles and one _atom_site "
        "loop of fractional coordinates. get_material and generate_crystals answer with such texts."
    ),
    errors.InvalidCrystalError: "Check cell lengths, angles and coordinates: they make no crystal.",
    errors.DisorderedCrystalError: "Replace it by an ordered structure: one element, fully there, per site.",
    errors.OverlappingAtomsError: "Two atoms sit on each other: correct the coordinates or enlarge the cell.",
    errors.TooManyAtomsError: "Send the primitive cell, or a smaller crystal.",
    errors.TooManyCrystalsError: "Send fewer crystals a call.",
    errors.DuplicateIdError: "Give every crystal an id of its own.",
    errors.ContradictoryTargetError: "Drop one of the parts of the target that exclude each other.",
    errors.InvalidRequestError: "Correct the argument that is named, and call again.",
    errors.UnsupportedElementError: "No model here knows this element: look for a crystal without it.",
    errors.IsolatedAtomError: "An atom has no neighbour: the cell is far too large, or no crystal.",
    errors.ReferenceIncompleteError: "The hull has no entry for an element: leave `reference` out, or ask "
    "about crystals without that element.",
    errors.WrongStateError: "Ask for its state first; what has ended cannot be changed any more.",
    errors.NoSubstitutionError: "Name another reference, or let the language model write.",
    errors.PreconditionError: "This mesh cannot do it for this crystal; another one may work.",
    errors.ModelNotFoundError: "Leave `model` out to take the default.",
    errors.NotFoundError: "Check the spelling; ids come from search_materials, design and their results.",
    errors.AuthenticationError: "Nothing that you can do: the user has to start `crystalmesh mcp` with the "
    "token of the mesh in CRYSTALMESH_TOKEN.",
    errors.MessageTooLargeError: "Send fewer or smaller crystals.",
    errors.OutOfMemoryError: "Send smaller crystals.",
    errors.StorageFullError: "Nothing that you can do: the disk of the mesh is full. Tell the user.",
    errors.ExhaustedError: "The mesh is busy. Wait, then call again.",
    errors.UnreachableError: "No mesh answers. Ask the user to start one with `crystalmesh up`, or to start "
    "`crystalmesh mcp` with --address; then call again.",
    errors.UnavailableError: "Not now. Wait a few seconds, then call again.",
    errors.DeadlineExceededError: "Too slow. Ask for less: fewer crystals, smaller ones, fewer steps.",
    errors.UnimplementedError: "This mesh does not serve it. Use other tools.",
    errors.ModelFailedError: "The model failed on this crystal; another one may work.",
}
_NO_HINT = "A fault of the mesh. Tell the user; its log has the cause."


class Fault(BaseModel):
    """Why there is no result."""

    reason: str = Field(description="Stable name of the kind of failure, for example OVERLAPPING_ATOMS.")
    message: str = Field(description="What happened.")
    hint: str = Field(description="What to do about it.")
    retry_after_seconds: float | None = Field(None, description="When to call again, where that may help.")
    details: dict[str, str] = Field(
        default_factory=dict, description="The field, id or limit that it is about, by name."
    )

    def in_words(self) -> str:
        """All of it as text that a model reads."""
        lines = [f"{self.reason}: {self.message}"]
        lines += [f"{name}: {value}" for name, value in self.details.items()]
        if self.retry_after_seconds is not None:
            lines.append(f"retry after: {self.retry_after_seconds:g} s")
        return "\n".join([*lines, f"hint: {self.hint}"])

    def as_result(self) -> CallToolResult:
        """The answer to a tool call that failed with it."""
        return CallToolResult(
            content=[TextContent(type="text", text=self.in_words())],
            is_error=True,
            # Not as structured content: clients hold that against the schema of the tool's results.
            _meta={ERROR_KEY: self.model_dump(mode="json")},
        )


def fault_of(error: CrystalMeshError) -> Fault:
    """What to tell of an error of the mesh."""
    return Fault(
        reason=error.reason or error.code.name,
        message=error.message[:_MOST_CHARACTERS],
        hint=_hint(type(error)),
        retry_after_seconds=error.retry_after_seconds,
        details={name: value[:_MOST_CHARACTERS] for name, value in error.details.items()},
    )


def fault_of_arguments(error: ValidationError) -> Fault:
    """What to tell of arguments that are not what the tool takes. Quotes nothing of them."""
    complaints = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in complaints[:_MOST_COMPLAINTS]]
    if len(complaints) > len(told):
        told.append(f"and {len(complaints) - len(told)} more")
    return fault_of(errors.InvalidFieldError("; ".join(told)))


def _hint(kind: type[CrystalMeshError]) -> str:
    """Of the class itself, or of the nearest one above that has one."""
    return next((_HINTS[each] for each in kind.__mro__ if each in _HINTS), _NO_HINT)
