"""The snippets of the documentation, run as a reader would run them, against a real mesh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ANYTHING = "…"
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/adding-a-service.md",
    "docs/data.md",
    "docs/operations.md",
    "docs/python-client.md",
    "services/relaxation/README.md",
    "services/retrieval/README.md",
)
NEED_A_MESH = {"docs/python-client.md", "services/relaxation/README.md", "services/retrieval/README.md"}
"""Documents that start where a mesh runs already; the others start what they need."""


@dataclass(frozen=True)
class Snippet:
    """A block of bash or python in a document, with the output that the document shows for it."""

    document: str
    line: int
    language: str
    code: str
    output: str | None
    not_run: str | None

    @property
    def wants_grpcurl(self) -> bool:
        return "grpcurl " in self.code

    @property
    def wants_make(self) -> bool:
        return self.code.startswith("make ")

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def snippets(document: str) -> list[Snippet]:
    """The bash and python blocks of a document, in order."""
    blocks = list(_blocks((ROOT / document).read_text().splitlines()))
    found = []
    for (line, language, code, above), following in zip_longest(blocks, blocks[1:]):
        if language not in {"bash", "python"}:
            continue
        output = None
        if following is not None and following[1] == "text" and following[3] == "```":
            output = following[2]
        reason = re.fullmatch(r"<!-- not run: (.+) -->", above)
        found.append(Snippet(document, line, language, code, output, reason and reason[1]))
    return found


def _blocks(lines: list[str]) -> Iterator[tuple[int, str, str, str]]:
    """Line, language and text of each fenced block, and the last line above it that is not blank."""
    start, language, above, last = 0, "", "", ""
    for number, line in enumerate(lines, 1):
        if start and line == "```":
            yield start, language, "\n".join(lines[start : number - 1]) + "\n", above
            start = 0
        elif not start and re.fullmatch(r"```\w+", line):
            start, language, above = number, line[3:], last
        last = line.strip() or last


class Reader:
    """Somebody who types snippets into one shell: variables and the folder stay from one to the next."""

    def __init__(self, home: Path) -> None:
        self._state = home / "environment"
        self._folder = home / "folder"
        self._folder.write_text(str(ROOT))
        path = [str(Path(sys.executable).parent), str(ROOT / ".tools" / "bin"), os.environ.get("PATH", "")]
        ours = {key: value for key, value in os.environ.items() if not key.startswith("CRYSTALMESH_")}
        self._environment = ours | {
            "HOME": str(home),
            "CRYSTALMESH_HOME": str(home / "mesh"),
            "PATH": os.pathsep.join(path),
            "COLUMNS": "120",
        }

    def run(self, snippet: Snippet) -> None:
        """Run it, and check its exit status and what the document shows of its output."""
        code = (
            snippet.code
            if snippet.language == "bash"
            else f"python - <<'END_OF_PYTHON'\n{snippet.code}END_OF_PYTHON\n"
        )
        done = self.type(code)
        told = f"{snippet} ended with {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
        assert done.returncode == 0, told
        if snippet.output is not None:
            assert matches(snippet.output, done.stdout), f"{snippet} prints something else:\n{done.stdout}"

    def type(self, code: str) -> subprocess.CompletedProcess[str]:
        remember = f"trap 'export -p > {self._state}; pwd > {self._folder}' EXIT"
        return subprocess.run(
            ["bash", "-c", f"touch {self._state}; . {self._state}\n{remember}\nset -eua -o pipefail\n{code}"],
            cwd=self._folder.read_text().strip(),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader in a home of their own, whose mesh is stopped at the end."""
    reader = Reader(tmp_path)
    yield reader
    reader.type("crystalmesh down")


def matches(shown: str, printed: str) -> bool:
    """Whether a document shows what was printed; `…` is anything in a line, and alone any lines."""
    pattern = ""
    for line in _normal(shown):
        anything = re.escape(ANYTHING)
        pattern += r"(?:.*\n)*?" if line == ANYTHING else re.escape(line).replace(anything, ".*") + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _normal(printed))) is not None


def _normal(text: str) -> list[str]:
    """Lines without blank ones, and with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_snippets_do_what_the_document_says(document: str, reader: Reader) -> None:
    """Every bash and python block succeeds, in order, and prints what is shown below it."""
    if document in NEED_A_MESH:
        assert reader.type("crystalmesh up --detach relaxation retrieval property").returncode == 0
    for snippet in snippets(document):
        if not (snippet.not_run or snippet.wants_grpcurl or snippet.wants_make):
            reader.run(snippet)


def test_grpcurl_snippets_do_what_the_readme_says(reader: Reader) -> None:
    """Listing by reflection and evaluating a crystal given as JSON work as shown."""
    if shutil.which("grpcurl", path=reader._environment["PATH"]) is None:
        pytest.skip("grpcurl is neither on PATH nor in .tools/bin; CONTRIBUTING.md says how to get it")
    assert reader.type("crystalmesh up --detach relaxation").returncode == 0
    chosen = [snippet for snippet in snippets("README.md") if snippet.wants_grpcurl and not snippet.not_run]
    assert len(chosen) >= 2
    for snippet in chosen:
        reader.run(snippet)


def test_make_snippets_do_what_the_readme_says(reader: Reader) -> None:
    """The quick start works as shown."""
    chosen = [snippet for snippet in snippets("README.md") if snippet.wants_make and not snippet.not_run]
    assert chosen
    stale = subprocess.run(
        ["make", "-q", ".venv/.crystalmesh-installed"], cwd=ROOT, check=False, capture_output=True
    )
    if stale.returncode:
        pytest.skip("`make setup` has to run first; it would change the environment that runs this test")
    for snippet in chosen:
        reader.run(snippet)


def test_every_snippet_that_is_not_run_says_why() -> None:
    """A bash or python block of any document is run by these tests or carries its reason."""
    for path in ROOT.glob("**/*.md"):
        document = str(path.relative_to(ROOT))
        if document.startswith((".", "node_modules")) or document in DOCUMENTS:
            continue
        for snippet in snippets(document):
            assert snippet.not_run, f"{snippet} is not run by any test"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a  b\n", "a b", True),
        ("a …\n", "a 1.5 s\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
        ("a\n", "a\nb\n", False),
        ("a …\nz\n", "a\nz\n", False),
    ],
)
def test_shown_output_is_compared_with_what_was_printed(shown: str, printed: str, *, same: bool) -> None:
    """`…` stands for a part of a line or for lines, and everything else has to be there."""
    assert matches(shown, printed) is same
