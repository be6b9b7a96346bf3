"""Pictures of results, as matplotlib figures that a notebook shows and `save` writes.

Nothing here touches pyplot: no figures pile up, and the caller's stay as they are. `crystal_picture` needs no
matplotlib: it draws crystals as SVG text.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystalmesh_client.plots.equations_of_state import plot_equations_of_state
    from crystalmesh_client.plots.figures import save
    from crystalmesh_client.plots.hulls import plot_hull
    from crystalmesh_client.plots.relaxations import plot_relaxations

__all__ = ["plot_equations_of_state", "plot_hull", "plot_relaxations", "save"]

_MODULES = {
    "plot_equations_of_state": "equations_of_state",
    "plot_hull": "hulls",
    "plot_relaxations": "relaxations",
    "save": "figures",
}


def __getattr__(name: str) -> Any:
    """Import matplotlib only for those who draw with it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
