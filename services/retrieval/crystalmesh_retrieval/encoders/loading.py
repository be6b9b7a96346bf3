"""An encoder by its name or its folder, ready to encode."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from crystalmesh_common.runtime.errors import ModelFailedError, ModelNotFoundError
from crystalmesh_retrieval.encoders.devices import device_named
from crystalmesh_retrieval.encoders.encoder import Encoder, EncoderInfo
from crystalmesh_retrieval.encoders.folder import (
    ENCODER_FILE,
    MODULES_FILE,
    EncoderFolder,
    open_encoder_folder,
)
from crystalmesh_retrieval.encoders.library import LibraryEncoder
from crystalmesh_retrieval.encoders.options import EncoderOptions, Engine, Precision
from crystalmesh_retrieval.encoders.t5_shape import t5_shape
from crystalmesh_retrieval.encoders.tower_model import TowerModel, read_tower

if TYPE_CHECKING:
    from crystalmesh_retrieval.encoders.t5_encoder import T5Encoder

__all__ = [
    "SHIPPED",
    "EncoderOptions",
    "Engine",
    "Precision",
    "encoder_folder",
    "load_encoder",
    "shipped_encoders",
]

SHIPPED = Path(__file__).resolve().parent.parent / "shipped" / "encoders"

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_NEEDED = ["*.json", "*.safetensors", "*.txt", "*.model"]


def shipped_encoders() -> list[str]:
    """The names of the encoders that came with this package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{ENCODER_FILE}"))


def load_encoder(spec: str, options: EncoderOptions | None = None) -> Encoder:
    """The encoder that a setting names: a shipped one, a folder, or a model of the Hugging Face hub.

    A folder holds two towers as `write_encoder_json` describes them, or two `sentence-transformers` models
    in `properties` and `structure`, or one such model that serves as both. A name of the hub ("owner/name")
    needs `allow_downloads`. Raises ModelNotFoundError where nothing is called so, DataCorruptError where its
    files are damaged, and ModelFailedError where it cannot be run as the options say.
    """
    options = options or EncoderOptions()
    folder = encoder_folder(spec, options)
    models = {path: read_tower(path) for path in folder.towers.values()}
    towers = {tower: models[path] for tower, path in folder.towers.items()}
    run = _t5_encoder() if _is_ours(models.values(), options) else LibraryEncoder
    return run(
        _info(spec, folder),
        towers,
        device=device_named(options.device),
        precision=Precision(options.precision),
        threads=options.cpu_threads,
    )


def encoder_folder(spec: str, options: EncoderOptions | None = None) -> EncoderFolder:
    """Where an encoder's towers are, its files checked; raises as `load_encoder` does."""
    return open_encoder_folder(_folder(spec, options or EncoderOptions()))


def _is_ours(models: Iterable[TowerModel], options: EncoderOptions) -> bool:
    """Whether our own forward pass runs the towers. Raises ModelFailedError where it is to and cannot."""
    if options.engine is Engine.LIBRARY:
        return False
    others = [str(model.folder) for model in models if t5_shape(model) is None]
    if others and options.engine is Engine.TORCH:
        raise ModelFailedError(
            f"{others[0]} is no T5 encoder that we run ourselves; use the engine auto or library"
        )
    return not others


def _t5_encoder() -> type[T5Encoder]:
    from crystalmesh_retrieval.encoders.t5_encoder import T5Encoder  # noqa: PLC0415 -- torch, seconds

    return T5Encoder


def _info(spec: str, folder: EncoderFolder) -> EncoderInfo:
    """What is known of the encoder before its towers are; zeros are filled in by them."""
    if folder.file is not None:
        return folder.file.info
    name = spec if _HUB_NAME.fullmatch(spec) and not Path(spec).exists() else folder.path.resolve().name
    return EncoderInfo(name, folder.version, dimensions=0, max_tokens=0, describer="")


def _folder(spec: str, options: EncoderOptions) -> Path:
    if (SHIPPED / spec / ENCODER_FILE).is_file():
        return SHIPPED / spec
    path = Path(spec).expanduser()
    if (path / ENCODER_FILE).exists() or any(path.glob(f"**/{MODULES_FILE}")):
        return path
    if path.is_dir() and any(path.iterdir()):
        return path  # what it lacks, reading it says
    if _HUB_NAME.fullmatch(spec) and options.allow_downloads:
        return _downloaded(spec)
    known = ", ".join(shipped_encoders()) or "none yet"
    hint = "; names of the Hugging Face hub need allow_downloads" if _HUB_NAME.fullmatch(spec) else ""
    raise ModelNotFoundError(
        f"there is no encoder {spec[:200]!r}: no folder is called so, and shipped ones are {known}{hint}",
        known=known,
    )


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 -- only where a download is wanted
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415 -- likewise

    try:
        return Path(snapshot_download(name, allow_patterns=_NEEDED))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ModelFailedError(f"cannot download {name}: {str(error)[:300]}") from error
