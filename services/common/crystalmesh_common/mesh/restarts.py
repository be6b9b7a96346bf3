"""When a process that ended is started again, and when that is no use."""

from __future__ import annotations

import signal
from dataclasses import dataclass

# What a service exits with when its settings cannot be used; another try would end the same way.
BAD_SETTINGS = 2


@dataclass(frozen=True)
class Exit:
    """How a process ended."""

    code: int  # negative: the signal that killed it
    last_words: str = ""
    served_seconds: float | None = None  # since it was ready; None: it never was

    def __str__(self) -> str:
        if self.code < 0:
            try:
                how = f"killed by {signal.Signals(-self.code).name}"
            except ValueError:
                how = f"killed by signal {-self.code}"
        else:
            how = f"exit {self.code}"
        return f"{how}: {self.last_words}" if self.last_words else how


@dataclass(frozen=True)
class RestartPolicy:
    """How patient a supervisor is."""

    first_delay_seconds: float = 0.25
    longest_delay_seconds: float = 30.0
    healthy_seconds: float = 60.0  # served that long: its failures are forgotten
    at_once_seconds: float = 5.0  # served less than that: it failed at once
    tries: int = 5  # failures at once in a row, all with the same exit, before giving up


@dataclass(frozen=True)
class Restart:
    """Start again after a while."""

    delay_seconds: float


@dataclass(frozen=True)
class GiveUp:
    """Leave it; `reason` is for people."""

    reason: str


class RestartHistory:
    """Remembers how one process failed, and judges each further failure by a policy."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._alike: list[int] = []  # codes of failures at once, since the last different one

    def judge(self, ended: Exit) -> Restart | GiveUp:
        policy = self._policy
        if ended.code == BAD_SETTINGS:
            return GiveUp(ended.last_words or str(ended))
        if ended.served_seconds is not None and ended.served_seconds >= policy.healthy_seconds:
            self._failures = 0
        self._failures += 1
        at_once = ended.served_seconds is None or ended.served_seconds < policy.at_once_seconds
        if not at_once or (self._alike and self._alike[-1] != ended.code):
            self._alike.clear()
        if at_once:
            self._alike.append(ended.code)
        if len(self._alike) >= policy.tries:
            return GiveUp(f"failed at once {len(self._alike)} times in a row, {ended}")
        exponent = min(self._failures - 1, 30)
        return Restart(min(policy.first_delay_seconds * 2**exponent, policy.longest_delay_seconds))
