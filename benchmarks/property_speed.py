"""Crystals of 10 atoms a second on two cores, from crystals to all properties, beside CHGNet's energies.

The library is two processes with a `Predictor` each, the server is the one that `crystalmesh up` starts, with
the Python client beside it on the same cores. Both build graphs and run both models. CHGNet computes
energies only: its own code in batches of 16, and our rewrite of it in batches of 16 on two threads. All
take turns on the same crystals of MP-20's test part, each alone.
"""

from __future__ import annotations

import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from benchmarks.crystals import crystals_of
from benchmarks.datasets import dataset
from benchmarks.processes import property_server
from benchmarks.property_models import MP20, MP_GAP, model_folders
from crystalmesh_client import Failed, Mesh
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal, FloatArray, IntArray
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_property.properties import SCALES, Property
from crystalmesh_property.serving.models import ServedModels
from crystalmesh_property.serving.prediction import Plan
from crystalmesh_property.serving.predictor import Predictor

ATOMS = 10
CORES = 2
CRYSTALS_PER_S_BAR = 300
DIFFERENCE_BAR = 1e-4
_BUSY = 0.7
_TOGETHER, _CHGNET_TOGETHER = 32, 16

Folders = tuple[ModelFolder, ...]
_Sent = tuple[FloatArray, IntArray, FloatArray, str]
"""A crystal on its way to another process."""
Values = Mapping[str, Mapping[Property, float]]
"""What is said of each crystal, by id, in the units of the properties."""


def run(quick: bool) -> dict[str, float]:
    """Rates of the four, and how far a batch's values are from those of crystals one by one."""
    paths = model_folders((MP_GAP, MP20))
    folders = tuple(ModelFolder(task.name, path) for task, path in paths.items())
    crystals = ten_atoms(128 if quick else 800)
    rounds = 3 if quick else 5
    if quick:
        print(f"QUICK: {len(crystals)} crystals in {rounds} rounds")
    load = os.getloadavg()[0]
    if load > _BUSY:
        print(f"note: a load of {load:.1f} before it began: other work takes the cores, rates are too low")
    rates: dict[str, list[float]] = {}
    said: Values = {}
    with library(folders) as by_library, server(list(paths.values())) as by_server:
        sides: dict[str, Callable[[Sequence[Crystal]], object]] = {
            "library": by_library,
            "server": by_server,
            "CHGNet": chgnet_energies(),
            "our CHGNet": our_chgnet_energies(),
        }
        for side in sides.values():
            side(crystals[: 2 * _TOGETHER])  # whatever is made at first use
        for _ in range(rounds):
            for name, side in sides.items():
                started = time.perf_counter()
                found = side(crystals)
                rates.setdefault(name, []).append(len(crystals) / (time.perf_counter() - started))
                if name == "server":
                    said = cast("Values", found)
    median = {name: statistics.median(found) for name, found in rates.items()}
    for name, found in rates.items():
        rounded = ", ".join(f"{rate:.0f}" for rate in found)
        print(f"{name:12} {median[name]:7.1f} crystals/s on two cores ({rounded})")
    held = "holds" if median["server"] >= CRYSTALS_PER_S_BAR else "MISSED"
    print(f"through the server: the bar is {CRYSTALS_PER_S_BAR} crystals/s: {held}")
    alone = one_by_one(folders, crystals[: 64 if quick else 400])
    together = predict_part(folders, crystals)
    differences = {
        "batched_difference": largest_difference(together, alone),
        "server_difference": largest_difference(said, alone),
    }
    for name, difference in differences.items():
        held = "holds" if difference <= DIFFERENCE_BAR else "MISSED"
        print(f"{name}: at most {difference:.1e} from {len(alone)} one by one, {DIFFERENCE_BAR:g}: {held}")
    return {
        "crystals_per_s": median["server"],
        "library_crystals_per_s": median["library"],
        "chgnet_crystals_per_s": median["CHGNet"],
        "our_chgnet_crystals_per_s": median["our CHGNet"],
        **differences,
    }


def ten_atoms(count: int) -> list[Crystal]:
    """Crystals of exactly ten atoms from MP-20's test part, the same every time."""
    table = pd.read_parquet(dataset("mp20/test.parquet"), columns=["id", "cell", "numbers", "frac_coords"])
    return crystals_of(table[table["numbers"].map(len) == ATOMS].sample(count, random_state=0))


@contextmanager
def library(folders: Folders) -> Iterator[Callable[[Sequence[Crystal]], Values]]:
    """Predictors in two processes as one function."""
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:

        def predict(crystals: Sequence[Crystal]) -> Values:
            sent = [
                [(each.cell, each.numbers, each.frac_coords, each.id) for each in part]
                for part in _parts(crystals, _TOGETHER)
            ]
            found: dict[str, Mapping[Property, float]] = {}
            for part in pool.map(partial(_predict_sent, folders), sent):
                found |= part
            return found

        yield predict


def _predict_sent(folders: Folders, sent: Sequence[_Sent]) -> dict[str, Mapping[Property, float]]:
    return predict_part(folders, [Crystal(*each) for each in sent])


def predict_part(folders: Folders, crystals: Sequence[Crystal]) -> dict[str, Mapping[Property, float]]:
    """What the models say of some crystals, on one thread; raises what is wrong with one of them."""
    predictor, plan = _predictor(folders)
    found: dict[str, Mapping[Property, float]] = {}
    for crystal, outcome in zip(crystals, predictor.predict(crystals, plan), strict=True):
        if isinstance(outcome, CrystalMeshError):
            raise outcome
        found[crystal.id] = {value.property: value.value for value in outcome.values}
    return found


@cache
def _predictor(folders: Folders) -> tuple[Predictor, Plan]:
    torch.set_num_threads(1)
    predictor = Predictor.load(folders, "cpu")
    for info in predictor.infos:
        if not info.ready:
            raise ModelFailedError(f"the model {info.name} cannot be used: {info.reason}")
    served = ServedModels(folders)
    served.loaded(predictor.infos)
    return predictor, served.plan("", ())  # as a server asks them


def one_by_one(folders: Folders, crystals: Sequence[Crystal]) -> Values:
    """What the models say of crystals that they see alone."""
    found: dict[str, Mapping[Property, float]] = {}
    for crystal in crystals:
        found |= predict_part(folders, [crystal])
    return found


def largest_difference(one: Values, other: Values) -> float:
    """Over the crystals of `other`, each property on the scale where its errors are counted."""
    return max(
        abs(_scaled(name, value) - _scaled(name, one[each][name]))
        for each, values in other.items()
        for name, value in values.items()
    )


def _scaled(name: Property, value: float) -> float:
    return float(SCALES[name].inward(np.array(value)))


@contextmanager
def server(folders: Sequence[Path]) -> Iterator[Callable[[Sequence[Crystal]], Values]]:
    """A property service and its client as one function."""
    flags = ["--models", ",".join(str(folder.absolute()) for folder in folders), "--no-shipped-models"]
    with property_server(*flags) as address, Mesh(address) as mesh:

        def predict(crystals: Sequence[Crystal]) -> Values:
            found: dict[str, Mapping[Property, float]] = {}
            for outcome in mesh.property.predict_many(crystals):
                if isinstance(outcome, Failed):
                    raise outcome.error
                found[outcome.id] = {Property(name): each.value for name, each in outcome.values.items()}
            return found

        yield predict


def chgnet_energies() -> Callable[[Sequence[Crystal]], object]:
    """CHGNet's own code, for energies only."""
    from chgnet.model.model import CHGNet  # noqa: PLC0415 -- seconds

    warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
    model = CHGNet.load(use_device="cpu", verbose=False)

    def energies(crystals: Sequence[Crystal]) -> list[float]:
        structures = [to_structure(crystal) for crystal in crystals]
        found = model.predict_structure(structures, task="e", batch_size=_CHGNET_TOGETHER)
        return [float(np.asarray(each["e"])) for each in cast("list[dict[str, Any]]", found)]

    return energies


def our_chgnet_energies() -> Callable[[Sequence[Crystal]], object]:
    """CHGNet's weights in the relaxation service's network, for energies only."""
    from crystalmesh_relaxation.engine import Quantity  # noqa: PLC0415 -- another service's package
    from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential  # noqa: PLC0415

    potential = FastCHGNetPotential()
    threads = ThreadPoolExecutor(CORES, initializer=torch.set_num_threads, initargs=(1,))

    def energies(crystals: Sequence[Crystal]) -> object:
        wanted = frozenset({Quantity.ENERGY})
        parts = _parts(crystals, _CHGNET_TOGETHER)
        return list(threads.map(lambda part: potential.evaluate(part, wanted), parts))

    return energies


def _parts(crystals: Sequence[Crystal], size: int) -> list[Sequence[Crystal]]:
    return [crystals[start : start + size] for start in range(0, len(crystals), size)]
