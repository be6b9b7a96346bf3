"""An experiment's tables as graphs, packed on first use, and split by the rules of its protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_property.evaluation.pool import GraphPool
from crystalmesh_property.evaluation.splits import Split, check_energies, matbench_split, mp20_split
from crystalmesh_property.graphs.packed import PackedGraphs
from crystalmesh_property.graphs.packing import pack
from crystalmesh_property.training.experiment import Experiment
from crystalmesh_property.training.hull import add_hull_distances


def load_data(
    experiment: Experiment,
    data: Path,
    cache: Path,
    *,
    processes: int = 1,
    progress: Callable[[str, int, int], None] = lambda table, done, rows: None,
) -> tuple[GraphPool, Split]:
    """The crystals of an experiment and which of them are learnt from. Graphs are kept in `cache`.

    Raises InvalidFieldError for tables that are missing or break a leak rule.
    """
    config = experiment.data
    cache.mkdir(parents=True, exist_ok=True)

    def graphs(table: Path) -> PackedGraphs:
        name = "_".join(table.with_suffix("").parts)
        path = cache / f"{name}-{experiment.neighbours}-{experiment.cutoff_angstrom:g}.graphs"
        return pack(
            data / table,
            path,
            experiment.graphs,
            processes=processes,
            progress=lambda done, rows: progress(str(table), done, rows),
        )

    check_energies(experiment.properties, [path.name for path in (config.train, *config.extra)])
    extra = [graphs(table) for table in config.extra]
    if config.protocol == "matbench":
        tables = [graphs(config.train), *extra]
        pool, split = matbench_split(
            tables, fold=config.fold, validation_share=config.validation_share, seed=experiment.seed
        )
    elif config.validation is not None and config.test is not None:
        pool, split = mp20_split(graphs(config.train), graphs(config.validation), graphs(config.test), extra)
        if config.hull is not None:
            add_hull_distances(pool, data / config.hull)
    else:
        raise InvalidFieldError("MP-20 needs its validation and its test part", field="data")
    return pool, split.fewer(config.rows, seed=experiment.seed) if config.rows else split
