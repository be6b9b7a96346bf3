"""Commands that installed services bring along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any

import typer

from crystalmesh_client.cli.reports import usage_error


def brought(group: str) -> Iterator[tuple[str, Any]]:
    """The commands of a group of entry points by name.

    One that cannot be loaded is a command that says why, and keeps no other from running.
    """
    for point in entry_points(group=group):
        try:
            command = point.load()
        except (ImportError, AttributeError) as error:
            command = _refusal(f"{point.value} cannot be loaded: {error}")
        yield point.name, command


def _refusal(why: str) -> Callable[[], None]:
    def refuse() -> None:
        usage_error(why)

    refuse.__doc__ = f"Not usable: {why}"
    return refuse


def add_to(app: typer.Typer, name: str, command: Any) -> None:
    """Add what a service brings to the commands of an app."""
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name, rich_help_panel="Work with files")
    else:
        app.command(name, rich_help_panel="Work with files")(command)
