"""What every source of materials is to an import."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidFieldError,
    UnreachableError,
    UnreadableCrystalError,
)
from crystalmesh_retrieval.catalog.material import MaterialInput, SourceKind, ValueSource

PAGE_ROWS = 2048
"""Rows of a file that are committed together."""


class SourceFileError(InvalidFieldError):
    """A file cannot be read at all; the message names it."""


class SourceRefusedError(InvalidFieldError):
    """A database does not take the query; the message has its reason."""


class SourceUnreachableError(UnreachableError):
    """A database cannot be reached, or not now; the message says how to go on."""


NOT_STATED = ValueSource(SourceKind.UNSPECIFIED)


@dataclass(frozen=True)
class BadRow:
    """A row that is no material."""

    name: str  # its id, or its place in the source
    error: CrystalMeshError


@dataclass(frozen=True)
class Page:
    """Some rows of a source, in its order."""

    rows: Sequence[MaterialInput | BadRow]
    cursor: str  # for going on behind this page
    total_rows: int | None = None  # of the whole source, where it says so


@dataclass(frozen=True)
class Provenance:
    """What is true of all rows that do not say otherwise."""

    values: ValueSource = NOT_STATED
    database: str = ""  # "Materials Project"
    license: str = ""
    attribution: str = ""


class Source(Protocol):
    """Rows in an order that does not change, so that a cursor means the same tomorrow."""

    @property
    def key(self) -> str:
        """What tells it from other sources and from its own other contents; without secrets."""
        ...

    @property
    def attribution(self) -> str:
        """Whom its licence asks to name."""
        ...

    def pages(self, cursor: str) -> Iterator[Page]:
        """The pages behind a cursor; the empty one is the start.

        Raises SourceFileError, SourceRefusedError or SourceUnreachableError. A bad row is part of its page.
        """
        ...


def parsed(name: str, parse: Callable[[], MaterialInput]) -> MaterialInput | BadRow:
    """What a parser makes of a row. A row may hold anything anywhere, and then it is a bad one."""
    try:
        return parse()
    except CrystalMeshError as error:
        return BadRow(name, error)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        return BadRow(name, UnreadableCrystalError(f"it is not laid out as it should be ({what})"))
