"""The potentials that this service can run, one file a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from crystalmesh_common.runtime.devices import require_device
from crystalmesh_relaxation.engine import Network, Potential
from crystalmesh_relaxation.engines.chgnet_info import RELEASES
from crystalmesh_relaxation.engines.mace_foundations import FOUNDATION_MODELS
from crystalmesh_relaxation.engines.model_files import ModelFiles
from crystalmesh_relaxation.engines.specs import Backend, ModelSpec

Networks = Mapping[Network, Potential]
"""A potential by the code that evaluates it."""

_WORKING_FOLDER = ModelFiles(Path())


def load(
    specs: Sequence[ModelSpec], device: str, files: ModelFiles = _WORKING_FOLDER
) -> Mapping[str, Networks]:
    """Load potentials for the calling thread, by name; seconds, because it imports torch.

    Published models that no wheel carries are looked for in `files`. Raises a CrystalMeshError that says what
    is missing: the device, a file, a package, a factory.
    """
    require_device(device)
    return {spec.name: _load_one(spec, device, files) for spec in specs}


def _load_one(spec: ModelSpec, device: str, files: ModelFiles) -> Networks:
    match spec.backend:
        case Backend.CHGNET:
            return _chgnet(spec, device)
        case Backend.MACE:
            potential = _mace(spec, device, files)
        case Backend.ASE:
            from crystalmesh_relaxation.engines.ase_calculator import ASEPotential  # noqa: PLC0415

            potential = ASEPotential(spec.name, spec.source, device)
    # One code for both: what is fast about these is theirs.
    return dict.fromkeys(Network, potential)


def _chgnet(spec: ModelSpec, device: str) -> Networks:
    from crystalmesh_relaxation.engines.chgnet import CHGNetPotential  # noqa: PLC0415 -- torch
    from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential  # noqa: PLC0415

    release = RELEASES[spec.source]
    return {
        Network.REFERENCE: CHGNetPotential(device, release),
        Network.FAST: FastCHGNetPotential(device, release),
    }


def _mace(spec: ModelSpec, device: str, files: ModelFiles) -> Potential:
    from crystalmesh_relaxation.engines.mace import MACEPotential  # noqa: PLC0415 -- torch
    from crystalmesh_relaxation.engines.mace_file import read_network  # noqa: PLC0415

    published = FOUNDATION_MODELS.get(spec.source)
    if published is None:
        path, sha256 = Path(spec.source), spec.sha256
        license_, description = "NOASSERTION", f"The MACE of the file {path.name}."
    else:
        path, sha256 = files.path(published), published.sha256
        license_, description = published.license, published.description
    return MACEPotential(
        read_network(path, sha256, device),
        device,
        name=spec.name,
        version=f"sha256:{sha256[:12]}",
        license=license_,
        description=description,
    )
