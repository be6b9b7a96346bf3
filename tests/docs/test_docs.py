"""What the documentation says of links, targets, metrics, codes, variables and settings is so."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric

from crystalmesh_client import connection, endpoints
from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.settings import ServiceSettings, load_settings
from crystalmesh_relaxation.settings import RelaxationSettings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in ROOT.glob("**/*.md")
    if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
)
OPERATIONS = ROOT / "docs" / "operations.md"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """The text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """What one may link to in a page: its headings as GitHub names them, and explicit ids."""
    text = prose(path)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {
        re.sub(r"[^\w\- ]", "", re.sub(r"<[^>]*>", "", h)).strip().lower().replace(" ", "-") for h in headings
    }
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_resolve(page: Path) -> None:
    """Every relative link of a page leads to a file of this repository, and its fragment to a place in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_relative_to(ROOT), f"{link} leaves the repository"
        assert target.exists(), f"{link} leads nowhere"
        if fragment:
            assert fragment in anchors(target), f"{link}: no such place in {target.name}"


def test_make_help_names_every_documented_target() -> None:
    """Whoever reads `make something` finds it in `make help`."""
    done = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    known = set(re.findall(r"^  make (\S+)", done.stdout, flags=re.MULTILINE))
    for page in PAGES:
        for words in re.findall(r"(?:^|`)make((?: [a-z]+)+)", page.read_text(), flags=re.MULTILINE):
            assert set(words.split()) <= known, f"{name_of(page)}: make{words}"


def test_metrics_are_documented_as_they_are() -> None:
    """The table of metrics has the names, types and labels of those that a service exposes."""
    rows = re.findall(r"^\| `(crystalmesh_\w+)` \| (\w+) \| (.+?) \|", OPERATIONS.read_text(), re.MULTILINE)
    documented = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert documented == set(exposed_metrics())


def exposed_metrics() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    metrics = Metrics("docs")
    metrics.requests.labels("s", "m", "OK")
    metrics.request_seconds.labels("s", "m")
    metrics.call_failed("INTERNAL")
    metrics.item_failed("INTERNAL")
    for family in metrics.registry.collect():
        if family.name.startswith("crystalmesh_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, family.type, labels_of(family)


def labels_of(family: Metric) -> tuple[str, ...]:
    return tuple(name for name in family.samples[0].labels if name != "le")


def test_exit_codes_are_documented() -> None:
    """The table of exit codes has exactly those that the command line uses."""
    table = OPERATIONS.read_text().partition("## Exit codes")[2].partition("Of a service")[0]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert documented == {
        value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)
    }


def test_variables_of_clients_are_documented() -> None:
    """Each variable that the client reads is in the table of its page."""
    text = (ROOT / "docs" / "python-client.md").read_text()
    for module in (connection, endpoints):
        for name, value in vars(module).items():
            if name.endswith("_VARIABLE"):
                assert f"`{value}`" in text


def test_toml_snippets_are_accepted(tmp_path: Path) -> None:
    """A reader who copies a TOML file from the documentation gets a service with these settings."""
    snippets = re.findall(r"^```toml\n(.*?)^```$", OPERATIONS.read_text(), re.DOTALL | re.MULTILINE)
    assert snippets
    for snippet in snippets:
        file = tmp_path / "mesh.toml"
        file.write_text(snippet)
        variables = {"CRYSTALMESH_CONFIG": str(file)}
        relaxation = load_settings(RelaxationSettings, "relaxation", environment=variables)
        assert relaxation.model_fields_set
        assert set(tomllib.loads(snippet).get("relaxation", {})) <= relaxation.model_fields_set
        load_settings(ServiceSettings, "agent", environment=variables)
