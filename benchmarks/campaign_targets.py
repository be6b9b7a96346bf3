"""What campaigns are asked for: ten targets, each a file in `targets` with the reason why it is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.json_format import ParseDict

from crystalmesh.crystal.v1 import target_pb2
from crystalmesh_client import Target
from crystalmesh_client.campaign_specs import target_from

FOLDER = Path(__file__).resolve().parent / "targets"
QUICK = ("lithium-oxide", "wide-gap-fluoride")
"""Those of a quick run."""


@dataclass(frozen=True)
class NamedTarget:
    """A target, and why a scientist asks for it."""

    name: str
    comment: str
    target: Target


def targets(*names: str) -> list[NamedTarget]:
    """Those of these names, in their order; without names all, in the order of the alphabet."""
    paths = [FOLDER / f"{name}.json" for name in names] or sorted(FOLDER.glob("*.json"))
    return [read(path) for path in paths]


def read(path: Path) -> NamedTarget:
    """One file: `comment`, and `target` as protobuf JSON. Raises google.protobuf's ParseError."""
    fields = json.loads(path.read_text())
    message = ParseDict(fields["target"], target_pb2.Target())
    return NamedTarget(path.stem, fields["comment"], target_from(message))


def impossible() -> Target:
    """Nothing in the world: an oxide of xenon alone whose gap is beyond that of any solid."""
    return Target(elements="Xe-O", only_elements="Xe-O", band_gap_ev=(20.0, None))
