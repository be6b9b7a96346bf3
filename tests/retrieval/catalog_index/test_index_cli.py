from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import ResourceNotFoundError
from crystalmesh_retrieval.catalog_index import rebuilding
from crystalmesh_retrieval.cli import catalog
from crystalmesh_retrieval.encoders import loading
from tests.retrieval.catalog_index.bag_of_words import BagOfWords, told_salts
from tests.retrieval.materials import filled


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> BagOfWords:
    """The encoder that every name means."""
    encoder = BagOfWords()
    monkeypatch.setattr(loading, "load_encoder", lambda *_: encoder)
    return encoder


@pytest.fixture
def catalogs(tmp_path: Path) -> Path:
    """A folder with the catalog `known` of 60 materials."""
    filled(tmp_path, *told_salts(60)).close()
    return tmp_path / "catalogs"


def run(*arguments: str | Path, code: int = 0) -> Result:
    """The command with its exit code; errors of the mesh come out as they are, for `main` to print."""
    result = CliRunner().invoke(catalog, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.mark.usefixtures("encoder")
def test_a_catalog_is_indexed_and_says_so(catalogs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says how it is searched, and `show` has the facts, in words and as JSON."""
    monkeypatch.setattr(rebuilding, "FEWEST_FOR_ANN", 50)
    said = run("index", "known", "--catalogs", catalogs).stdout
    assert said.startswith(
        "60 materials of known are found by bag-of-words 0123456789ab: flat, exact, 0.0 MB"
    )
    said = run("index", "known", "--kind", "hnsw", "--threads", "1", "--catalogs", catalogs).stdout
    assert "hnsw, finds 9" in said or "hnsw, exact" in said
    shown = run("show", "known", "--catalogs", catalogs).stdout
    assert "bag-of-words-0123456789ab:" in shown
    assert "kind: hnsw" in shown
    fields = json.loads(run("show", "known", "--json", "--catalogs", catalogs).stdout)
    assert fields["indexes"]["bag-of-words-0123456789ab"]["vectors"] == 60


def test_indexing_again_encodes_nothing(catalogs: Path, encoder: BagOfWords) -> None:
    """A second run is done at once."""
    for _ in range(2):
        run("index", "known", "--catalogs", catalogs)
    assert len(encoder.read) == 60


def test_a_catalog_that_was_never_indexed_shows_no_index(catalogs: Path) -> None:
    """The line is left out."""
    assert "indexes" not in run("show", "known", "--catalogs", catalogs).stdout


@pytest.mark.usefixtures("encoder")
def test_damage_is_shown(catalogs: Path) -> None:
    """`show` goes on to say the rest, and what to do."""
    run("index", "known", "--catalogs", catalogs)
    (block,) = catalogs.rglob("*.vectors")
    block.write_bytes(b"torn")
    assert "catalog index known --encoder bag-of-words" in run("show", "known", "--catalogs", catalogs).stdout


@pytest.mark.usefixtures("encoder")
def test_mistakes_are_told(catalogs: Path) -> None:
    """A kind that is none, and a catalog that is not there."""
    result = run("index", "known", "--kind", "tree", "--catalogs", catalogs, code=exits.USAGE)
    assert "an index is flat, hnsw, ivf_sq8, ivf_pq, not 'tree'" in result.output
    with pytest.raises(ResourceNotFoundError, match="there is known"):
        run("index", "unknown", "--catalogs", catalogs)
