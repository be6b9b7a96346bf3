"""The materials of a catalog in an order that does not change: by id."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crystalmesh_retrieval.catalog.filters import MaterialFilter
from crystalmesh_retrieval.catalog.snapshot import Location, Snapshot


def page_after(
    snapshot: Snapshot, material_filter: MaterialFilter, after: str, size: int
) -> tuple[list[Location], str]:
    """The first `size` materials that pass and whose ids come after `after`, and the last of these ids.

    That is "" where there is no further one. Takes about 0.1 s in a million materials.
    """
    masks = snapshot.masks(material_filter)
    ids = [
        segment.texts("id").filter(pa.array(mask))
        for segment, mask in zip(snapshot.segments, masks, strict=True)
    ]
    rows = [np.flatnonzero(mask) for mask in masks]
    numbers = [np.full(len(found), number) for number, found in enumerate(rows)]
    if not ids:
        return [], ""
    table = pa.table(
        {"id": pa.chunked_array(ids), "segment": np.concatenate(numbers), "row": np.concatenate(rows)}
    )
    if after:
        table = table.filter(pc.greater(table["id"], after))
    order = pc.select_k_unstable(table, k=size, sort_keys=[("id", "ascending")])
    page = table.take(order)
    locations = list(zip(page["segment"].to_pylist(), page["row"].to_pylist(), strict=True))
    last = page["id"][-1].as_py() if table.num_rows > size else ""
    return locations, last
