"""`python -m crystalmesh_relaxation.evaluators`: evaluate what comes on standard input, until it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from crystalmesh_common.runtime.children.child import Work, serve
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engine import Network
from crystalmesh_relaxation.engines.model_files import ModelFiles
from crystalmesh_relaxation.engines.specs import parse_spec
from crystalmesh_relaxation.evaluators import messages


def main() -> int:
    """0 once the service has closed the pipe, 1 when the potentials could not be loaded."""
    return serve(_load, models="the potential", memory="the device")


def _load(body: bytes) -> tuple[bytes, Work]:
    start = messages.start_from_bytes(body)
    configure_logs(start.service, level=start.log_level, form=start.log_format)
    import torch  # noqa: PLC0415 -- seconds; the pipe is ours before

    torch.set_num_threads(start.threads)
    files = ModelFiles(Path(start.model_folder), allow_downloads=start.allow_downloads)
    loaded = engines.load([parse_spec(text) for text in start.models], start.device, files)
    infos = [networks[Network.REFERENCE].info for networks in loaded.values()]

    def evaluate(body: bytes) -> Iterator[bytes]:
        batch = messages.batch_from_bytes(body)
        potential = loaded[batch.model][batch.network]
        return map(messages.outcome_to_bytes, potential.evaluate(batch.crystals, batch.quantities))

    return messages.infos_to_bytes(infos), evaluate


if __name__ == "__main__":
    sys.exit(main())
