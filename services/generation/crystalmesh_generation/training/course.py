"""The course of a training: steps until the budget is spent, with checks in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crystalmesh_generation.training.checkpoints import Check, Progress
from crystalmesh_generation.training.experiment import BudgetConfig


@dataclass(frozen=True)
class Report:
    """Told after every step."""

    step: int
    spent: float  # share of the budget
    words_per_second: float
    loss: float
    check: Check | None = None


@dataclass(frozen=True)
class Learnt:
    """What one step was."""

    lessons: int
    words: int
    loss: float  # mean surprise of a word that is taught


class Student(Protocol):
    """What is trained."""

    def learn(self, spent: float) -> Learnt:
        """Take one step, when such a share of the budget is spent."""
        ...

    def check(self, loss: float) -> Check:
        """See how far it is, after such a mean loss since the last check."""
        ...

    def keep(self) -> None:
        """Write down what the training goes on from, and what it has led to so far."""
        ...


def take(student: Student, progress: Progress, budget: BudgetConfig, tell: Callable[[Report], None]) -> None:
    """Train until the budget is spent; `progress` says where it goes on, and is kept up to date."""
    spent, since = _spent(progress, budget), time.monotonic()
    due = _next_check(spent, budget)
    heard: list[float] = []
    while spent < 1:
        learnt = student.learn(spent)
        progress.step += 1
        progress.lessons += learnt.lessons
        progress.words += learnt.words
        heard.append(learnt.loss)
        now = time.monotonic()
        progress.seconds += now - since
        rate, since = learnt.words / max(1e-9, now - since), now
        spent, check = _spent(progress, budget), None
        if spent >= due:
            check = student.check(float(np.mean(heard)))
            progress.checks.append(check)
            heard.clear()
            progress.seconds += time.monotonic() - since
            since = time.monotonic()
            spent = _spent(progress, budget)
            due = _next_check(spent, budget)
            student.keep()
        tell(Report(progress.step, spent, rate, learnt.loss, check))


def _spent(progress: Progress, budget: BudgetConfig) -> float:
    shares = [0.0]
    if budget.steps is not None:
        shares.append(progress.step / budget.steps)
    if budget.minutes is not None:
        shares.append(progress.seconds / (60 * budget.minutes))
    return max(shares)


def _next_check(spent: float, budget: BudgetConfig) -> float:
    return (int(spent * budget.checks + 1e-9) + 1) / budget.checks
