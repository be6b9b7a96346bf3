"""What was used last, up to a weight."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Keeps values that are costly to make, and forgets those that were not asked for the longest.

    Threads may share it. Two that miss the same value at once both make it.
    """

    def __init__(self, capacity: float, weight: Callable[[Value], float] = lambda _: 1.0) -> None:
        self._capacity = capacity
        self._weight = weight
        self._total = 0.0
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of this key, made if it is not here; what making raises is raised and not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._total += self._weight(value)
            while self._total > self._capacity and self._values:
                _, forgotten = self._values.popitem(last=False)
                self._total -= self._weight(forgotten)
        return value
