"""Crystals from files, for tools that people run on their own files."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import (
    MAX_ATOMS,
    MAX_TEXT_CHARACTERS,
    crystal_from_poscar,
    crystals_from_cif,
)
from crystalmesh_common.runtime.errors import CrystalError, UnreadableCrystalError

_CIF_SUFFIXES = frozenset({".cif", ".mcif"})
_POSCAR_SUFFIXES = frozenset({".vasp", ".poscar"})
_POSCAR_NAMES = ("POSCAR", "CONTCAR")


def read_crystals(path: str | Path, *, max_atoms: int = MAX_ATOMS) -> list[Crystal]:
    """The crystals of a file, at least one, named after it: "NaCl", or "run-0", "run-1" for several.

    Reads CIF (every structure in it), POSCAR and CONTCAR (by name or the suffix .vasp), each also
    gzipped, and whatever else ASE reads, such as extended XYZ with many frames. Raises a `CrystalError`
    whose message starts with the file's name. Not for servers: ASE opens what it is given, and its
    warnings are silenced for the whole process while it reads.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz")
    read: Callable[[Path, int], list[Crystal]] = _read_with_ase
    if Path(name).suffix.lower() in _CIF_SUFFIXES:
        read = _read_cif
    elif name.startswith(_POSCAR_NAMES) or Path(name).suffix.lower() in _POSCAR_SUFFIXES:
        read = _read_poscar
    try:
        crystals = read(path, max_atoms)
    except CrystalError as error:
        raise type(error)(f"{path.name}: {error.message}", file=path.name) from error
    except (EOFError, zlib.error) as error:
        raise UnreadableCrystalError(f"{path.name}: the compressed file is damaged") from error
    except OSError as error:
        reason = error.strerror or (str(error).splitlines() or ["the file cannot be read"])[0][:120]
        raise UnreadableCrystalError(f"{path.name}: {reason}") from error
    if not crystals:
        raise UnreadableCrystalError(f"{path.name}: there are no structures in it")
    stem = Path(name).stem
    if len(crystals) == 1:
        return [replace(crystals[0], id=stem)]
    return [replace(crystal, id=f"{stem}-{index}") for index, crystal in enumerate(crystals)]


def _read_cif(path: Path, max_atoms: int) -> list[Crystal]:
    return crystals_from_cif(_text(path), max_atoms=max_atoms)


def _read_poscar(path: Path, max_atoms: int) -> list[Crystal]:
    return [crystal_from_poscar(_text(path), max_atoms=max_atoms)]


def _text(path: Path) -> str:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        # One byte more than is taken, so that the reader says "too long" and not "cut off".
        return file.read(MAX_TEXT_CHARACTERS + 1).decode("utf-8", errors="replace")


def _read_with_ase(path: Path, _max_atoms: int) -> list[Crystal]:
    import ase.io  # noqa: PLC0415

    from crystalmesh_common.crystal.ase_codec import from_atoms  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames = ase.io.read(path, index=":")
        except OSError:
            raise
        # ASE has 80 readers, and each fails in its own way.
        except Exception as error:
            what = str(error).strip().splitlines() or [type(error).__name__]
            raise UnreadableCrystalError(f"ASE cannot read it: {what[0][:120]}") from error
    return [from_atoms(atoms) for atoms in frames]
