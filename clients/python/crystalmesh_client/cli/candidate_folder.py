"""A folder for new crystals: a CIF and a line of each as it comes, and a page about all at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalmesh_client.cli.outputs import OutputFolder, one_line_for_files
from crystalmesh_client.cli.reports import usage_error

if TYPE_CHECKING:
    from crystalmesh_client.candidates import Candidate, ParseFailure
    from crystalmesh_client.results import Failed

_LINES = "candidates.jsonl"
_PAGE = "index.html"


class CandidateFolder:
    """Takes what became of samples, as each is done. Whatever ends the program, what came is on disk."""

    def __init__(self, path: Path) -> None:
        if (path / _LINES).exists():
            usage_error(f"{path} holds crystals of an earlier run ({_LINES}): give another folder")
        self._path = path
        self._crystals = OutputFolder(path)
        self._taken: list[Candidate | ParseFailure] = []
        self._files: dict[str, str] = {}

    def take(self, outcome: Candidate | ParseFailure) -> None:
        """Write the CIF of a candidate, then a line about it; text that is no crystal has a line."""
        from crystalmesh_client.candidates import Candidate  # noqa: PLC0415 -- so that --help is quick

        if isinstance(outcome, Candidate):
            file = self._crystals.file(outcome.id, ".cif")
            with one_line_for_files(file):
                file.write_text(outcome.cif, encoding="utf-8")
            self._files[outcome.id] = file.name
        self._taken.append(outcome)
        with one_line_for_files(self._path / _LINES), (self._path / _LINES).open("a") as lines:
            lines.write(json.dumps(self.fields(outcome)) + "\n")

    def fields(self, outcome: Candidate | ParseFailure) -> dict[str, Any]:
        """All of it that JSON can hold, with the name of its file."""
        file = self._files.get(outcome.id)
        return outcome.to_dict() if file is None else {**outcome.to_dict(), "file": file}

    def write_page(self, failures: Sequence[Failed], asked: Mapping[str, str]) -> None:
        """Write index.html, the contact sheet of what came, if anything did."""
        if not (self._taken or failures):
            return
        from crystalmesh_client.plots.contact_sheet import contact_sheet  # noqa: PLC0415 -- as above

        page = contact_sheet([*self._taken, *failures], title="New crystals", asked=asked, files=self._files)
        with one_line_for_files(self._path / _PAGE):
            (self._path / _PAGE).write_text(page, encoding="utf-8")
