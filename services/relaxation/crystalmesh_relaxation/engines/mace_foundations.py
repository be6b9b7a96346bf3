"""Published MACE models that can be asked for by the names that `mace_mp` has for them.

The checksums are of the files that the releases of ACEsuit/mace-foundations carry, each as several projects
that pin these files have it. A file that is replaced there is refused here until its checksum is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_RELEASES = "https://github.com/ACEsuit/mace-foundations/releases/download"
_ACADEMIC = "LicenseRef-ASL"  # Academic Software License: no commercial use
_MPTRJ = "trained on MPtrj: PBE and PBE+U energies without the MP2020 corrections"


@dataclass(frozen=True)
class FoundationModel:
    """A published file and what there is to know of it."""

    url: str
    sha256: str
    license: str  # an SPDX expression
    description: str

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


FOUNDATION_MODELS: Mapping[str, FoundationModel] = {
    "small": FoundationModel(
        f"{_RELEASES}/mace_mp_0/2023-12-10-mace-128-L0_energy_epoch-249.model",
        "2ddb079cee0e131eaaf6912ba581b394551ead283e95c99cfe78c605d10b5736",
        "MIT",
        f"MACE-MP-0 small (Batatia et al., 2023), {_MPTRJ}.",
    ),
    "medium": FoundationModel(
        f"{_RELEASES}/mace_mp_0/2023-12-03-mace-128-L1_epoch-199.model",
        "01bfe22100139f424713cf921144e5509cbe353d67aa9fa1be9c6e1e0ed35845",
        "MIT",
        f"MACE-MP-0 medium (Batatia et al., 2023), {_MPTRJ}.",
    ),
    "large": FoundationModel(
        f"{_RELEASES}/mace_mp_0/MACE_MPtrj_2022.9.model",
        "f80e992b65ab8f88fdf26964511357c022e92704e4d9bcd086652635a8495b32",
        "MIT",
        f"MACE-MP-0 large (Batatia et al., 2023), {_MPTRJ}.",
    ),
    "medium-0b3": FoundationModel(
        f"{_RELEASES}/mace_mp_0b3/mace-mp-0b3-medium.model",
        "2f2be696351ac9e94fbe01cdfb6f017679acdbd2db7645209ef55fec9826b012",
        "MIT",
        f"MACE-MP-0b3 medium, {_MPTRJ}; better than MACE-MP-0 under pressure.",
    ),
    "medium-mpa-0": FoundationModel(
        f"{_RELEASES}/mace_mpa_0/mace-mpa-0-medium.model",
        "75428afe3a1d7d8062e19bcaabd5c433623cabf308242ec9fb493e38604fb638",
        "MIT",
        "MACE-MPA-0 medium, trained on MPtrj and sAlex: PBE and PBE+U energies without the MP2020 "
        "corrections.",
    ),
    "mace-matpes-pbe-0": FoundationModel(
        f"{_RELEASES}/mace_matpes_0/MACE-matpes-pbe-omat-ft.model",
        "e618ad582b84239905b9c3b77ce6e9ce111b0ecd1533223a1a6aac7a696b8aa0",
        _ACADEMIC,
        "MACE-MatPES-PBE-0, trained on MatPES: PBE energies without +U and without corrections. "
        "For academic use only.",
    ),
    "mace-matpes-r2scan-0": FoundationModel(
        f"{_RELEASES}/mace_matpes_0/MACE-matpes-r2scan-omat-ft.model",
        "8f147ecffa1d06a696e5648b13b81abda9c96fda9d0fb3faba3cd3fb27d9bba9",
        _ACADEMIC,
        "MACE-MatPES-r2SCAN-0, trained on MatPES: r2SCAN energies without corrections. "
        "For academic use only.",
    ),
}
