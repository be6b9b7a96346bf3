"""How settings name the potentials to serve.

    chgnet-0.3.0, chgnet-r2scan                    from CHGNet's wheel
    mace:medium-mpa-0                              a published MACE, see mace_foundations
    mace:/models/ours.model#sha256=<64 digits>     a MACE file
    NAME=ase:package.module:factory                whatever makes an ASE calculator

`NAME=` before `mace:` chooses the name that requests ask for. Nothing is imported and no file is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from crystalmesh_relaxation.engines.chgnet_info import CHGNET_0_3_0, RELEASES
from crystalmesh_relaxation.engines.mace_foundations import FOUNDATION_MODELS

CHGNET = CHGNET_0_3_0.name

_NAMED = re.compile(r"(?:(?P<name>[^=:]*)=)?(?P<backend>mace|ase):(?P<source>.*)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_CHECKSUM = re.compile(r"sha256=([0-9a-f]{64})")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Backend(Enum):
    """What runs a potential."""

    CHGNET = "chgnet"
    MACE = "mace"
    ASE = "ase"


@dataclass(frozen=True)
class ModelSpec:
    """A potential to load."""

    name: str  # what requests ask for
    backend: Backend
    source: str  # which one of the backend's: a release, a published model or a path, a factory
    sha256: str = ""  # of the file, where the source is a path


def parse_spec(text: str) -> ModelSpec:
    """The potential that a setting names; raises ValueError with what is wrong with it."""
    if text in RELEASES:
        return ModelSpec(text, Backend.CHGNET, text)
    match = _NAMED.fullmatch(text)
    if match is None:
        raise ValueError(
            f"no potential is called {text!r}; there are {', '.join(RELEASES)}, mace:NAME, "
            "mace:PATH#sha256=… and NAME=ase:package.module:factory"
        )
    name, source = match["name"], match["source"]
    spec = _mace_spec(text, name, source) if match["backend"] == "mace" else _ase_spec(text, name, source)
    if not _NAME.fullmatch(spec.name):
        raise ValueError(f"{text!r}: {spec.name!r} is no name; put one of letters, digits, . _ - before it")
    if spec.name in RELEASES:
        raise ValueError(f"{text!r}: {spec.name} is the name of another potential")
    return spec


def _mace_spec(text: str, name: str | None, rest: str) -> ModelSpec:
    source, mark, checksum = rest.partition("#")
    digits = _CHECKSUM.fullmatch(checksum.lower())
    if mark and digits is None:
        raise ValueError(f"{text!r}: behind # belong sha256= and 64 hexadecimal digits")
    if source in FOUNDATION_MODELS:
        if mark:
            raise ValueError(f"{text!r}: the checksum of {source} is known; leave it out")
        own_name = f"mace-{source.removeprefix('mace-')}"
        return ModelSpec(own_name if name is None else name, Backend.MACE, source)
    path = PurePath(source)
    if len(path.parts) < 2 and not path.suffix:
        known = ", ".join(FOUNDATION_MODELS)
        raise ValueError(f"{text!r}: no published MACE is called {source!r}; there are {known}")
    if digits is None:
        raise ValueError(
            f"{text!r}: reading a MACE file runs code that is in it, so say which file you trust: "
            f"mace:{source}#sha256=…, the digits as sha256sum prints them"
        )
    return ModelSpec(path.stem if name is None else name, Backend.MACE, source, digits[1])


def _ase_spec(text: str, name: str | None, source: str) -> ModelSpec:
    if name is None:
        raise ValueError(f"{text!r}: a calculator needs a name, NAME={text}")
    if not _FACTORY.fullmatch(source):
        raise ValueError(f"{text!r}: behind ase: belongs package.module:factory")
    return ModelSpec(name, Backend.ASE, source)


def check_specs(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts, if each is a spec and no two have one name; raises ValueError otherwise."""
    if not texts:
        raise ValueError("at least one potential is needed")
    names = [parse_spec(text).name for text in texts]
    if len(set(names)) < len(names):
        raise ValueError(f"two potentials have one name: {', '.join(names)}")
    return tuple(texts)
