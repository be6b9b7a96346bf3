"""Experiments: trainings as values, in TOML files that ship or that a user writes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from crystalmesh_common.runtime.errors import InvalidFieldError

ExperimentModel = TypeVar("ExperimentModel", bound=BaseModel)


class Section(BaseModel):
    """A part of an experiment; a name that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def shipped_experiment(path: Path, shipped: Path) -> Path:
    """The file of an experiment that ships, by its bare name; any other path as it is."""
    if path.suffix or len(path.parts) != 1:
        return path
    return shipped / f"{path.name}.toml"


def read_experiment(
    path: Path, kind: type[ExperimentModel], changes: tuple[str, ...] = ()
) -> ExperimentModel:
    """The experiment of a TOML file, with some values changed: `budget.minutes=3`, values as in TOML.

    Raises InvalidFieldError that names the field which no experiment has.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        for change in changes:
            name, equals, value = change.partition("=")
            if not equals:
                raise InvalidFieldError(f"{change!r} is no change: write field=value", field=name)
            _set(said, name.strip().split("."), tomllib.loads(f"value = {value}")["value"])
        return kind.model_validate(said)
    except OSError as error:
        raise InvalidFieldError(f"{path} cannot be read: {error.strerror}", field="config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidFieldError(f"{path}: {error}", field="config") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidFieldError(f"{path}: {field}: {first['msg']}", field=field) from error


def _set(said: dict[str, Any], names: list[str], value: object) -> None:
    for name in names[:-1]:
        said = said.setdefault(name, {})
        if not isinstance(said, dict):
            raise InvalidFieldError(f"{name} is no section", field=name)
    said[names[-1]] = value
