"""Samples of the generation service, as its users get them, and the CPU seconds that they took."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.datasets import dataset
from benchmarks.processes import generation_server
from benchmarks.quality.samples import Sample
from crystalmesh_client import Candidate, Mesh, ParseFailure
from crystalmesh_client.prompts import Prompt
from crystalmesh_generation.serving.folders import SHIPPED

MODEL = "CRYSTALMESH_BENCH_MODEL"
"""A model's folder, to measure it in the place of the shipped one."""


@dataclass(frozen=True, eq=False)
class Made:
    """What came of some prompts, sample by sample."""

    name: str
    samples: Sequence[Sample]
    candidates: Sequence[Candidate | None]  # None: a parse failure or an error
    cpu_seconds: float

    @property
    def crystals(self) -> int:
        """How many samples are crystals."""
        return sum(candidate is not None for candidate in self.candidates)


class Generator:
    """A generation service whose references are MP-20's train part, on loopback."""

    def __init__(self, mesh: Mesh, processes: Callable[[], float]) -> None:
        self._mesh = mesh
        self._cpu_seconds = processes

    def make(self, name: str, prompts: Sequence[Prompt], **settings: object) -> Made:
        """One sample of each prompt, in their order; `settings` are those of `GenerationSettings`."""
        began = self._cpu_seconds()
        by_prompt: dict[str, Candidate | None] = {}
        problems: dict[str, str] = {}
        for outcome in self._mesh.generation.generate_many(prompts, **settings):  # type: ignore[arg-type]
            if isinstance(outcome, Candidate):
                by_prompt[outcome.prompt_id] = outcome
            elif isinstance(outcome, ParseFailure):
                problems[outcome.prompt_id] = outcome.message
            else:
                problems[outcome.prompt_id] = str(outcome.error)
        spent = self._cpu_seconds() - began
        candidates = [by_prompt.get(prompt.id) for prompt in prompts]
        samples = [
            Sample(candidate.crystal if candidate else None, problems.get(prompt.id, ""))
            for prompt, candidate in zip(prompts, candidates, strict=True)
        ]
        return Made(name, samples, candidates, spent)


@contextmanager
def generator(*flags: str) -> Iterator[Generator]:
    """A service that draws references from MP-20's train part, with the model to be measured."""
    folder = os.environ.get(MODEL)
    chosen = ["--models", folder, "--no-shipped-models"] if folder else []
    materials = ["--materials", str(dataset("mp20/train.parquet"))]
    before = {child.pid for child in psutil.Process().children()}
    with generation_server(*chosen, *materials, *flags) as address, Mesh(address) as mesh:
        [server] = [child for child in psutil.Process().children() if child.pid not in before]

        def cpu_seconds() -> float:
            family = [server, *server.children(recursive=True)]
            return sum(sum(each.cpu_times()[:2]) for each in family)

        yield Generator(mesh, cpu_seconds)


def has_model() -> bool:
    """Whether there is a model to measure: one that ships, or the one that the environment names."""
    return bool(os.environ.get(MODEL)) or any(Path(SHIPPED).glob("*/crystalmesh.json"))
