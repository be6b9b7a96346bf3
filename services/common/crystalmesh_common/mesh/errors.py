"""Why a mesh could not be started, found or stopped, with the exit status that says so."""

from __future__ import annotations

from typing import ClassVar


class MeshError(Exception):
    """One line for the person at the terminal; `exit_code` is what the command ends with."""

    exit_code: ClassVar[int] = 1


class MeshUsageError(MeshError):
    """What was asked for can never work: an unknown service, one that is not installed."""

    exit_code = 2


class MeshNotRunningError(MeshError):
    """There is no mesh here."""

    exit_code = 4


class MeshRunningError(MeshError):
    """There is a mesh here already, and there can be only one."""
