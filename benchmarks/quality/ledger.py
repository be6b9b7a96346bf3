"""Results that took long, one line of JSON each, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Ledger:
    """Results by key, in a file that only grows.

    A line is written whole when its result is there, so a killed run loses what it was at, no more. Several
    threads may write, and several processes, each of which sees the other's lines when it opens the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        self._results: dict[str, Mapping[str, Any]] = {}
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines():
            try:
                result = json.loads(line)
                self._results[result.pop("key")] = result
            except (ValueError, KeyError, AttributeError, TypeError):
                continue  # cut short when its writer was killed
        self._needs_newline = bool(text) and not text.endswith("\n")

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, key: str) -> bool:
        return key in self._results

    def __getitem__(self, key: str) -> Mapping[str, Any]:
        return self._results[key]

    def write(self, key: str, result: Mapping[str, Any]) -> None:
        """Keep a result, in place of any other with its key."""
        line = json.dumps({"key": key, **result}) + "\n"
        with self._lock, self._path.open("a") as file:
            file.write("\n" + line if self._needs_newline else line)
            self._needs_newline = False
            self._results[key] = result
