"""The encoder that this server runs: its name from the start, and what it is once loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crystalmesh_common.runtime.errors import ModelLoadingError, ModelNotFoundError
from crystalmesh_retrieval.descriptions.describers import Describer
from crystalmesh_retrieval.encoders.encoder import EncoderInfo


@dataclass
class ServedEncoder:
    """One encoder or none. Safe to fill from one thread while others read."""

    spec: str  # as in the settings; "" for none
    device: str
    info: EncoderInfo | None = None
    describer: Describer | None = None  # of the crystals of queries
    missing: str = ""  # why there is none

    def loaded(self, info: EncoderInfo, describer: Describer) -> None:
        """From now on it answers."""
        self.describer = describer
        self.info = info

    @property
    def name(self) -> str:
        """What requests call it; "" where there is none to be."""
        return self.info.name if self.info is not None else Path(self.spec).name

    @property
    def is_absent(self) -> bool:
        """Whether there is none, and none will come."""
        return bool(self.missing) or not self.spec

    def resolve(self, name: str = "") -> EncoderInfo:
        """The encoder that a request names; the only one for the empty name.

        Raises ModelNotFoundError for a name that is not served, and ModelLoadingError while it loads.
        """
        if self.is_absent:
            why = self.missing or "this server runs without one (--encoder)"
            raise ModelNotFoundError(f"no encoder is served here: {why}", known="")
        if name not in ("", self.name):
            raise ModelNotFoundError(
                f"no encoder {name[:80]!r} is served here; there is {self.name}", known=self.name
            )
        if self.info is None:
            raise ModelLoadingError("the encoder is still loading", retry_after_seconds=1.0)
        return self.info
