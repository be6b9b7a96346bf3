from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engine import Evaluation, Network, Potential, Quantity
from crystalmesh_relaxation.engines.mace_file import mace_imported
from crystalmesh_relaxation.engines.specs import parse_spec
from tests.conftest import lone_atom, silicon
from tests.relaxation.engines.tiny_mace import ATOMIC_NUMBERS, needs_mace, saved, tiny_mace


class Trap:
    """Pickled, it makes a file when it is read."""

    def __init__(self, sprung: Path) -> None:
        self._sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._sprung,)


def load(path: Path, sha256: str) -> Potential:
    spec = parse_spec(f"mace:{path}#sha256={sha256}")
    return engines.load([spec], "cpu")[spec.name][Network.FAST]


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is an error that names it."""
    with pytest.raises(ModelFailedError, match=rf"{tmp_path}/none\.model: No such file"):
        load(tmp_path / "none.model", "0" * 64)


def test_an_unknown_file_is_not_run(tmp_path: Path) -> None:
    """A file with another checksum than the stated one is refused, and no code in it runs."""
    sprung, path = tmp_path / "sprung", tmp_path / "trap.model"
    digest = saved(Trap(sprung), path)
    with pytest.raises(DataCorruptError, match=digest):
        load(path, "0" * 64)
    assert not sprung.exists()


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MACE is not installed, the error says how to install it."""
    path = tmp_path / "any.model"
    digest = saved({}, path)
    for module in ("mace", "mace.modules"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelFailedError, match=r"pip install 'crystalmesh-relaxation\[mace\]'"):
        load(path, digest)


@needs_mace
def test_what_is_in_the_file_is_said(tmp_path: Path) -> None:
    """The info has the network's elements, cutoff and quantities, and the file's checksum as version."""
    path = tmp_path / "tiny.model"
    digest = saved(tiny_mace(), path)
    info = load(path, digest).info
    assert info.name == "tiny"
    assert info.version == f"sha256:{digest[:12]}"
    assert info.atomic_numbers == ATOMIC_NUMBERS
    assert info.cutoff_angstrom == 5.0
    assert info.quantities == {Quantity.ENERGY, Quantity.FORCES, Quantity.STRESS}


@needs_mace
@pytest.mark.parametrize("content", [{"state_dict": {}}, "text"], ids=["weights alone", "text"])
def test_a_file_of_something_else(tmp_path: Path, content: object) -> None:
    """A file that holds no network is an error that says what it holds."""
    path = tmp_path / "other.model"
    digest = saved(content, path)
    with pytest.raises(ModelFailedError, match=f"no MACE potential but a {type(content).__name__}"):
        load(path, digest)


@needs_mace
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Bytes that torch cannot read are an error that names the file."""
    path = tmp_path / "broken.model"
    path.write_bytes(b"no model")
    with pytest.raises(ModelFailedError, match=rf"{path} cannot be read as a MACE file"):
        load(path, hashlib.sha256(b"no model").hexdigest())


@needs_mace
def test_heads(tmp_path: Path) -> None:
    """Of several heads the default answers, as in MACE's calculator; without one, nobody guesses."""
    from ase import Atoms

    path = tmp_path / "two.model"
    ours = load(path, saved(tiny_mace(("other", "default")), path))
    crystal = silicon(shift=0.02)
    (evaluation,) = ours.evaluate([crystal], frozenset({Quantity.ENERGY}))
    atoms = Atoms(crystal.numbers, cell=crystal.cell, scaled_positions=crystal.frac_coords, pbc=True)
    with mace_imported():
        from mace.calculators import MACECalculator

        network = tiny_mace(("other", "default")).float()
        atoms.calc = MACECalculator(models=[network], device="cpu", default_dtype="float32", head="default")
        theirs = atoms.get_potential_energy()
    assert isinstance(evaluation, Evaluation)
    assert evaluation.energy_ev == pytest.approx(theirs, abs=1e-5)
    with pytest.raises(ModelFailedError, match="has the heads one, two and none called default"):
        load(path, saved(tiny_mace(("one", "two")), path))


@needs_mace
def test_torch_goes_on_refusing_pickles(tmp_path: Path) -> None:
    """MACE makes torch read pickles wherever a process reads a file; after loading, that is as it was."""
    path, other = tmp_path / "tiny.model", tmp_path / "other.pt"
    digest = saved(tiny_mace(), path)
    saved(Trap(tmp_path / "sprung"), other)
    script = (
        "import pathlib, pickle, torch\n"
        "from crystalmesh_relaxation.engines.mace_file import read_network\n"
        f"read_network(pathlib.Path({str(path)!r}), {digest!r}, 'cpu')\n"
        f"try: torch.load({str(other)!r})\n"
        "except pickle.UnpicklingError: print('refused')\n"
    )
    ours = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ours.stdout.endswith("refused\n")
    assert not (tmp_path / "sprung").exists()


@needs_mace
def test_a_batch_of_one_lone_atom(tmp_path: Path) -> None:
    """A batch without a single pair of neighbours is evaluated like any other."""
    path = tmp_path / "tiny.model"
    potential = load(path, saved(tiny_mace(), path))
    (alone,) = potential.evaluate([lone_atom()], potential.info.quantities)
    assert isinstance(alone, Evaluation)
    np.testing.assert_allclose(alone.forces_ev_per_angstrom, np.zeros((1, 3)))
