"""`python -m crystalmesh_property.serving.predictors`: predict for what comes on standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.children.child import Work, serve
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.intake import read_input
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_property.convert import Outcome, prediction_message
from crystalmesh_property.serving.predictors import messages

if TYPE_CHECKING:
    from crystalmesh_property.serving.predictor import Predictor


def main() -> int:
    """0 once the service has closed the pipe, 1 when nothing could be loaded here."""
    return serve(_load, models="the models", memory="the server")


def _load(body: bytes) -> tuple[bytes, Work]:
    start = messages.start_from_bytes(body)
    configure_logs(start.service, level=start.log_level, form=start.log_format)
    import torch  # noqa: PLC0415 -- seconds; the pipe is ours before

    from crystalmesh_common.runtime.devices import require_device  # noqa: PLC0415 -- torch
    from crystalmesh_property.serving.predictor import Predictor  # noqa: PLC0415 -- torch

    torch.set_num_threads(start.threads)
    require_device(start.device)
    predictor = Predictor.load(start.folders, start.device)

    def predict(body: bytes) -> Iterator[bytes]:
        outcomes = _outcomes(predictor, messages.batch_from_bytes(body), start.atoms_per_crystal)
        return map(messages.outcome_to_bytes, outcomes)

    return messages.models_to_bytes(predictor.infos), predict


def _outcomes(predictor: Predictor, batch: messages.Batch, max_atoms: int) -> list[Outcome]:
    """What becomes of each crystal: what is wrong with it, or what the models say."""
    read = [read_input(crystal, "", max_atoms=max_atoms) for crystal in batch.crystals]
    crystals = [crystal for crystal in read if isinstance(crystal, Crystal)]
    predictions = iter(predictor.predict(crystals, batch.plan) if crystals else ())
    found = [next(predictions) if isinstance(each, Crystal) else each for each in read]
    return [each if isinstance(each, CrystalMeshError) else prediction_message(each) for each in found]


if __name__ == "__main__":
    sys.exit(main())
