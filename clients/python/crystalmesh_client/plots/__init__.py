"""Pictures of results, as matplotlib figures that a notebook shows and `save` writes.

Nothing here touches pyplot: no figures pile up, and the caller's stay as they are.
"""

from crystalmesh_client.plots.equations_of_state import plot_equations_of_state
from crystalmesh_client.plots.figures import save
from crystalmesh_client.plots.hulls import plot_hull
from crystalmesh_client.plots.relaxations import plot_relaxations

__all__ = ["plot_equations_of_state", "plot_hull", "plot_relaxations", "save"]
