"""Data sets that are published as one file, with the checksum that tells whether it arrived whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crystalmesh_common.runtime.durable import make_folder, write_file
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.sources.files import file_sha256
from crystalmesh_retrieval.sources.web import Web


@dataclass(frozen=True)
class PublishedFile:
    """A file that anybody may download."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]

    def fetch(self, folder: Path, web: Web) -> Path:
        """The file in that folder, downloaded unless it is there whole.

        Raises as `Web.content`, and DataCorruptError where the publisher's file is not the one we know.
        """
        path = folder / self.name
        if path.exists() and file_sha256(path) == self.sha256:
            return path
        content = web.content(self.url)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise DataCorruptError(
                f"{self.url} does not have the checksum {self.sha256[:12]}… that was published: it is "
                "damaged or of another version; give a file of your own instead",
                file=self.url,
            )
        make_folder(folder)
        write_file(path, content)
        return path


_MATBENCH = "https://ml.materialsproject.org/projects"

# The checksums are those in matminer's list of data sets.
PUBLISHED: Mapping[str, PublishedFile] = {
    "matbench_mp_gap": PublishedFile(
        f"{_MATBENCH}/matbench_mp_gap.json.gz",
        "58b65746bd88329986ed66031a2ac1369c7c522f7bc9f9081528e07097c2c057",
    ),
    "matbench_mp_e_form": PublishedFile(
        f"{_MATBENCH}/matbench_mp_e_form.json.gz",
        "dedcb1d4ba2e3e50dbdd45ba5bc647a00e9c2bcf8f8bf556dc8e92caa39eb21f",
    ),
    "matbench_log_kvrh": PublishedFile(
        f"{_MATBENCH}/matbench_log_kvrh.json.gz",
        "44b113ddb7e23aa18731a62c74afa7e5aa654199e0db5f951c8248a00955c9cd",
    ),
}
"""By the name that a user gives. All are MatBench files."""
