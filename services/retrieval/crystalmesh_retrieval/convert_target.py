"""Targets: what they say in words."""

from __future__ import annotations

from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh_common.crystal.description import describe_target
from crystalmesh_common.crystal.targets import check_target
from crystalmesh_common.runtime.errors import InvalidFieldError


def target_text(target: Target) -> str:
    """The target as a description.

    Raises InvalidFieldError, UnknownEnumValueError and ContradictoryTargetError for one that cannot be meant.
    """
    check_target(target)
    text = describe_target(target)
    if not text:
        raise InvalidFieldError("the target says nothing", field="target")
    return text
